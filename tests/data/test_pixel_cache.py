"""Decoded sets on the disk: found again, made anew when anything changed, checked, bounded, shared by two runs."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import write_pictures

from eyas.config.data import DataConfig
from eyas.data.images.preprocess import Preprocess
from eyas.data.loading.pixel_cache import checksums
from eyas.data.prepared import Prepared, prepare
from eyas.data.spec import open_images
from eyas.errors import DataError

EVERY = np.arange(10)


@pytest.fixture
def list_file(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures", {"red": 5, "blue": 5})


def prepared(list_file: Path, size: int = 8, **settings: object) -> Prepared:
    config = DataConfig(**{"cache": "disk", "cache_dir": str(list_file.parent.parent / "cache"), **settings})
    return prepare(open_images(str(list_file), config, split="train"), Preprocess(size), config)


def cached(list_file: Path) -> list[Path]:
    return sorted((list_file.parent.parent / "cache").glob("*.npy"))


def test_a_second_run_reads_the_pixels_without_decoding_and_says_where_they_are(list_file):
    first = prepared(list_file)
    for path in list_file.parent.glob("*/*.png"):  # unreadable now, but with the old size and time
        stat = path.stat()
        path.write_bytes(b"x" * stat.st_size)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    second = prepared(list_file)
    assert torch.equal(second.read(EVERY), first.read(EVERY))
    assert second.in_words() == f"decoded once, 8x8, 0 MB in {cached(list_file)[0]}"
    assert len(cached(list_file)) == 1


@pytest.mark.parametrize("what", ["time", "size", "preprocessing"])
def test_what_changed_is_decoded_anew(list_file, what):
    before = prepared(list_file).read(EVERY)
    path = list_file.parent / "red" / "000.png"
    if what == "preprocessing":
        assert prepared(list_file, size=9).read(EVERY).shape[-1] == 9
    else:
        time = path.stat().st_mtime_ns
        write_pictures(list_file.parent, {"red": 1}, seed=5, size=21 if what == "size" else 20)
        (list_file.parent / "list.txt").write_text(
            "".join(f"{name}/{number:03d}.png {name}\n" for name in ("red", "blue") for number in range(5))
        )
        os.utime(path, ns=(time, time if what == "size" else time + 1))
        after = prepared(list_file).read(EVERY)
        assert not torch.equal(after[0], before[0])
        assert torch.equal(after[1:], before[1:])
    assert len(cached(list_file)) == 2


@pytest.mark.parametrize("damage", ["a flipped bit", "cut", "description"])
def test_a_damaged_file_is_made_anew_and_never_trained_on(list_file, damage):
    before = prepared(list_file).read(EVERY)
    (file,) = cached(list_file)
    content = bytearray(file.read_bytes())
    if damage == "description":
        file.with_suffix(".json").write_text("{")
    elif damage == "cut":
        file.write_bytes(content[:-100])
    else:
        content[-100] ^= 4
        file.write_bytes(content)
    assert torch.equal(prepared(list_file).read(EVERY), before)
    assert json.loads(cached(list_file)[0].with_suffix(".json").read_text())["sums"]


def test_unreadable_images_are_remembered_with_their_reasons(list_file):
    (list_file.parent / "red" / "002.png").write_bytes(b"")
    for _ in ("decoded", "found"):
        with pytest.raises(DataError, match=r"list\.txt:3: red/002\.png: cannot be decoded: the file is empty"):
            prepared(list_file)
        left = prepared(list_file, skip_unreadable=True)
        assert (len(left), left.images.skipped) == (9, 1)
        expected = prepared(list_file, skip_unreadable=True, cache="ram")
        assert torch.equal(left.read(np.arange(9)), expected.read(np.arange(9)))


def test_the_longest_unused_set_makes_room_for_a_new_one(list_file):
    room = 10 * 3 * (8 * 8 + 9 * 9 + 5 * 5) + 3 * 128  # three sets with numpy's heads, not four
    sizes = {}
    for moment, size in enumerate((8, 9, 5)):
        prepared(list_file, size, cache_gb=room / 1e9)
        newest = max(cached(list_file), key=lambda path: path.stat().st_mtime_ns)
        sizes[size] = newest
        os.utime(newest, (moment, moment))
    prepared(list_file, 8, cache_gb=room / 1e9)  # used again
    prepared(list_file, 7, cache_gb=room / 1e9)
    assert sizes[8].exists()
    assert not sizes[9].exists()
    assert sum(path.stat().st_size for path in cached(list_file)) <= room


def test_a_set_that_another_run_is_just_decoding_does_not_make_room(list_file):
    prepared(list_file, 8)
    being_made = cached(list_file)[0].with_name(f".tmp-1-0-{'0' * 40}.npy")
    being_made.write_bytes(bytes(2000))
    os.utime(being_made, (1, 1))
    prepared(list_file, 7, cache_gb=2e-6)
    assert being_made.exists()
    assert len(cached(list_file)) == 2  # it and the new one


def test_a_set_larger_than_the_bound_is_decoded_anew_for_every_batch(list_file):
    small = prepared(list_file, cache_gb=1e-7)
    assert small.store is None
    assert cached(list_file) == []
    assert torch.equal(small.read(EVERY), prepared(list_file).read(EVERY))


def test_a_set_too_large_for_the_memory_goes_to_the_disk(list_file, monkeypatch):
    monkeypatch.setattr("eyas.data.prepared.free_memory", lambda: 1000)
    assert prepared(list_file, cache="auto").store.file == cached(list_file)[0]


def fill(list_file: Path) -> None:
    torch.set_num_threads(1)
    assert prepared(list_file).read(EVERY).shape == (10, 3, 8, 8)


def test_two_runs_at_once_make_one_file_between_them(list_file):
    fork = multiprocessing.get_context("fork")
    runs = [fork.Process(target=fill, args=(list_file,)) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0] * 4
    assert len(cached(list_file)) == 1
    assert not list((list_file.parent.parent / "cache").glob(".tmp-*"))


def test_every_block_has_a_checksum_of_its_own():
    pixels = np.zeros((3, 4, 5, 3), np.uint8)
    before = checksums(pixels)
    pixels[2, 3, 4, 2] = 1
    assert checksums(pixels) != before


# --- a folder that cannot be used


@pytest.fixture(params=["a file", "below a file", "read only"])
def unusable(request, tmp_path: Path) -> Path:
    """A folder for the cache that cannot be made or written to, whoever asks."""
    (tmp_path / "file").write_text("no folder")
    if request.param != "read only":
        return tmp_path / "file" if request.param == "a file" else tmp_path / "file" / "cache"
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    return folder


@pytest.mark.parametrize("cache", ["disk", "auto"])
def test_without_a_usable_folder_the_run_goes_on_and_a_note_names_the_flag(list_file, unusable, cache, monkeypatch):
    free = [1000] if cache == "auto" else [10**9]
    monkeypatch.setattr("eyas.data.prepared.free_memory", lambda: free[0])
    found = prepared(list_file, cache=cache, cache_dir=str(unusable))
    where = "decoded anew for every batch" if cache == "auto" else "kept in memory"
    (note,) = found.images.notes
    assert note.startswith(f"no folder for decoded images ({unusable}")
    assert note.endswith(f"): they are {where}; --cache-dir names another folder")
    assert torch.equal(found.read(EVERY), prepared(list_file, cache="ram").read(EVERY))


def test_an_unreadable_image_is_still_told_where_the_folder_cannot_be_used(list_file, unusable):
    (list_file.parent / "red" / "002.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"list\.txt:3: red/002\.png: cannot be decoded"):
        prepared(list_file, cache_dir=str(unusable))
    assert len(prepared(list_file, cache_dir=str(unusable), skip_unreadable=True)) == 9
