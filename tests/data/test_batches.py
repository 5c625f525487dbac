"""From images to batches: the same bits on every way, and every unreadable image named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import write_pictures

from eyas.config.data import DataConfig
from eyas.data.images.imageset import ArrayImages, ImageSet
from eyas.data.images.preprocess import Preprocess
from eyas.data.pipeline import loaded
from eyas.data.prepared import Prepared, prepare
from eyas.data.spec import open_images
from eyas.errors import DataError

BATCHES = [np.array([0, 5, 3]), np.array([1]), np.array([8, 2, 7, 4, 6])]


def open_list(list_file: Path | str) -> ImageSet:
    return open_images(str(list_file), DataConfig(), split="train")


def batches_of(prepared: Prepared, config: DataConfig | None = None) -> list[torch.Tensor]:
    """All batches as the network's input, still grey levels."""
    wanted = [(batch, 0) for batch in BATCHES]
    read = list(loaded(prepared, wanted, config or DataConfig()))
    assert [samples.tolist() for samples, _ in read] == [batch.tolist() for batch in BATCHES]
    return [prepared.resized(pixels) for _, pixels in read]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A list of ten pictures of several sizes and shapes."""
    rng = np.random.default_rng(0)
    for number in range(10):
        shape = (10 + 7 * number, 40 - 3 * number, 3)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "list.txt").write_text("".join(f"{number}.png {number % 2}\n" for number in range(10)))
    return tmp_path / "list.txt"


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [12, 32])
def test_kept_streamed_and_worker_loaded_images_have_the_same_bits(mixed, resize, size):
    images, fitting = open_list(mixed), Preprocess(size, resize)
    kept = prepare(images, fitting, DataConfig(cache="ram"))
    streamed = prepare(images, fitting, DataConfig(cache="none"))
    assert kept.store is not None
    assert streamed.store is None
    expected = [torch.stack([fitting.resized(images.image(int(n))) for n in batch]) for batch in BATCHES]
    on_disk = DataConfig(cache="disk", cache_dir=str(mixed.parent / "cache"))
    ways = [batches_of(kept), batches_of(streamed)]
    ways += [batches_of(prepare(images, fitting, on_disk)) for _ in ("made", "found again")]
    if size == 12:  # two processes start slowly
        ways.append(batches_of(streamed, DataConfig(cache="none", workers=2)))
    for way in ways:
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(way, expected, strict=True))


def test_small_images_of_one_size_are_kept_as_they_are_with_the_same_bits(tmp_path):
    images = open_list(write_pictures(tmp_path, {"red": 5, "blue": 5}))
    fitting = Preprocess(32)
    native = prepare(images, fitting, DataConfig())
    assert native.store.native
    assert native.store.pixels.shape == (10, 20, 20, 3)
    streamed = prepare(images, fitting, DataConfig(cache="none"))
    pairs = zip(batches_of(native), batches_of(streamed), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_smaller_sizes_of_growing_images_have_the_same_bits_whether_kept_or_not(tmp_path, resize):
    images = open_list(write_pictures(tmp_path, {"red": 3, "blue": 3}))
    every = np.arange(6)
    kept, streamed = (prepare(images, Preprocess(32, resize), DataConfig(cache=cache)) for cache in ("ram", "none"))
    assert kept.store.native
    for size in (16, 24, 32):
        assert torch.equal(kept.resized(kept.read(every), size), streamed.resized(streamed.read(every), size))


def test_large_images_of_one_size_are_kept_fitted(tmp_path):
    prepared = prepare(open_list(write_pictures(tmp_path, {"red": 2, "blue": 2})), Preprocess(8), DataConfig())
    assert not prepared.store.native
    assert prepared.store.pixels.shape == (4, 8, 8, 3)


def test_an_array_is_used_in_place_and_fitted_by_the_batch():
    pixels = np.random.default_rng(0).integers(0, 256, (10, 6, 9, 3), dtype=np.uint8)
    pixels.setflags(write=False)
    images = ImageSet("set", ("a", "b"), True, np.arange(10) % 2, ArrayImages.of("set", pixels))
    prepared = prepare(images, Preprocess(16), DataConfig())
    assert prepared.store.pixels.data_ptr() == pixels.ctypes.data
    for batch, ours in zip(BATCHES, batches_of(prepared), strict=True):
        assert torch.equal(ours, torch.stack([Preprocess(16).resized(images.image(int(n))) for n in batch]))


def test_labels_stay_with_their_images(mixed):
    prepared = prepare(open_list(mixed), Preprocess(8), DataConfig())
    assert prepared.labels(np.array([3, 0, 7])).tolist() == [1, 0, 1]


def test_all_unreadable_images_are_listed_by_line_in_one_message(mixed):
    (mixed.parent / "2.png").write_bytes(b"")
    (mixed.parent / "7.png").write_bytes(b"<html>not found</html>")
    (mixed.parent / "9.png").write_bytes((mixed.parent / "9.png").read_bytes()[:60])
    with pytest.raises(DataError) as error:
        prepare(open_list(mixed), Preprocess(8), DataConfig())
    lines = str(error.value).splitlines()
    assert lines[0] == f"{mixed}: 3 image(s) cannot be decoded:"
    assert [line.split(": ")[0] for line in lines[1:4]] == [f"{mixed}:{number}" for number in (3, 8, 10)]
    assert "--skip-unreadable" in lines[-1]


def test_of_many_unreadable_images_the_rest_is_counted(tmp_path):
    list_file = write_pictures(tmp_path, {"red": 14, "blue": 2})
    for path in (tmp_path / "red").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"\.\.\. and 4 more\."):
        prepare(open_list(list_file), Preprocess(8), DataConfig())


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_unreadable_images_are_left_out_and_counted_where_asked(mixed, cache):
    (mixed.parent / "2.png").write_bytes(b"")
    (mixed.parent / "7.png").write_bytes(b"x")
    prepared = prepare(open_list(mixed), Preprocess(8), DataConfig(cache=cache, skip_unreadable=True))
    assert len(prepared) == len(prepared.images) == 8
    assert prepared.images.skipped == 2
    assert prepared.images.place(2).startswith(f"{mixed}:4: 3.png")
    expected = Preprocess(8).resized(prepared.images.image(2))
    assert torch.equal(prepared.read(np.array([2]))[0], expected)
    assert prepared.labels(np.array([2])).tolist() == [1]


def test_a_set_of_unreadable_images_only_is_an_error_even_where_they_may_be_left_out(mixed):
    for path in mixed.parent.glob("*.png"):
        path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"10 image\(s\) cannot be decoded"):
        prepare(open_list(mixed), Preprocess(8), DataConfig(skip_unreadable=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_vanishes_during_the_run_is_named(mixed, workers):
    config = DataConfig(cache="none", workers=workers)
    prepared = prepare(open_list(mixed), Preprocess(8), config)
    (mixed.parent / "1.png").unlink()
    batches = loaded(prepared, [(batch, 0) for batch in BATCHES], config)
    assert next(batches)[1].shape == (3, 3, 8, 8)
    with pytest.raises(DataError, match=r"list\.txt:2: 1\.png: cannot be read: No such file"):
        next(batches)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_changes_during_the_run_is_named(mixed, workers):
    config = DataConfig(cache="none", workers=workers)
    prepared = prepare(open_list(mixed), Preprocess(8), config)
    Image.new("RGB", (9, 9)).save(mixed.parent / "1.png")  # still an image, but not the one that was checked
    batches = loaded(prepared, [(batch, 0) for batch in BATCHES], config)
    assert next(batches)[1].shape == (3, 3, 8, 8)
    with pytest.raises(DataError, match=r"list\.txt:2: 1\.png: was changed since it was listed: [\d,]+ bytes then"):
        next(batches)


def test_a_resumed_run_does_not_look_at_every_image_again_where_nothing_is_kept(mixed):
    for path in mixed.parent.glob("*.png"):
        path.write_bytes(b"x")
    prepared = prepare(open_list(mixed), Preprocess(8), DataConfig(cache="none"), checked=True)
    assert len(prepared) == 10


def test_a_set_says_where_its_pixels_are(mixed):
    images = open_list(mixed)
    assert prepare(images, Preprocess(8), DataConfig(cache="none")).in_words() == "decoded anew for every batch"
    assert prepare(images, Preprocess(8), DataConfig()).in_words().startswith("decoded once, 8x8")


def test_grey_pixels_of_an_array_become_three_equal_planes():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 9), dtype=np.uint8)
    images = ImageSet("set", ("a", "b"), True, np.arange(4) % 2, ArrayImages.of("set", pixels))
    read = prepare(images, Preprocess(16), DataConfig()).read(np.array([2, 0]))
    assert all(torch.equal(read[:, plane], torch.from_numpy(pixels[[2, 0]])) for plane in range(3))


def marked(pictures, samples, epoch):
    """A change of pictures that shows which samples they were, and in which epoch."""
    changed = pictures.clone()
    changed[:, 0, 0, 0] = torch.from_numpy(samples + 10 * epoch).to(torch.uint8)
    return changed


def test_a_change_of_ones_own_sees_each_sample_with_its_epoch_on_every_way(mixed):
    images, fitting = open_list(mixed), Preprocess(8)
    wanted = [(np.array([4, 1]), 0), (np.array([1]), 3)]
    for config in (DataConfig(), DataConfig(cache="none"), DataConfig(cache="none", workers=1), DataConfig(workers=1)):
        read = loaded(prepare(images, fitting, config), wanted, config, change=marked)
        assert [pictures[:, 0, 0, 0].tolist() for _, pictures in read] == [[4, 1], [31]]


def test_a_set_that_is_fitted_larger_for_random_crops_keeps_everything(mixed):
    images = open_list(mixed)
    wide = Preprocess(16, "crop").enlarged(24)
    assert wide == replace(Preprocess(24, "crop"), crop_ratio=1.0)
    assert prepare(images, wide, DataConfig()).read(np.array([0])).shape == (1, 3, 24, 24)
