"""Named sets: the table fits torchvision, the embedded digits work offline, CIFAR is read without pickles."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import pickle
import struct
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from hypothesis import given, settings
from hypothesis import strategies as st

from eyas.data.named.cifar import CIFAR10, CIFAR100, Archive, open_archive
from eyas.data.named.opening import open_named
from eyas.data.named.table import TORCHVISION, dataset_names, names, splits_of
from eyas.errors import DataError, SettingsError


def records(count: int, label_bytes: int = 1) -> np.ndarray:
    found = np.random.default_rng(count).integers(0, 256, (count, label_bytes + 3072), np.uint8)
    found[:, :label_bytes] = np.arange(count)[:, None] % 10
    return found


def small_cifar(folder: Path) -> Archive:
    """Write an archive like CIFAR-10's with 4 + 4 training and 3 test records; return its description."""
    files = {"data_batch_1.bin": 4, "data_batch_2.bin": 4, "test_batch.bin": 3}
    packed = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        for name, count in files.items():
            records(count).tofile(folder / name)
            tar.add(folder / name, f"cifar-10-batches-bin/{name}")
            (folder / name).unlink()
    split = {"train": dict.fromkeys(list(files)[:2], 4), "test": {"test_batch.bin": 3}}
    sha = hashlib.sha256(packed.read_bytes()).hexdigest()
    return replace(CIFAR10, files=split, md5=hashlib.md5(packed.read_bytes()).hexdigest(), sha256=sha)


def test_cifar_is_downloaded_once_and_read_without_pickles(host, tmp_path: Path) -> None:
    archive = small_cifar(host.folder)
    train = open_archive(archive, "train", tmp_path / "data", mirror=host.url)
    test = open_archive(archive, "test", tmp_path / "data", mirror=host.url)
    assert len(host.asked) == 1
    assert (len(train), len(test)) == (8, 3)
    assert test.classes[:2] == ("airplane", "automobile")
    assert test.ordered
    assert test.place(2) == "cifar10:test#2"
    assert np.array_equal(test.image(2).numpy().ravel(), records(3)[2, 1:])


def test_a_cifar_archive_with_another_checksum_is_refused(host, tmp_path: Path) -> None:
    small_cifar(host.folder)
    with pytest.raises(DataError, match="sha256 checksum"):
        open_archive(CIFAR10, "test", tmp_path, mirror=host.url)
    assert not (tmp_path / "cifar-10-batches-bin").exists()


def test_a_cifar_file_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in (*CIFAR10.files["train"], *CIFAR10.files["test"]):
        (folder / name).write_bytes(b"short")
    with pytest.raises(DataError, match=r"test_batch.bin: has 5 bytes, not 30730000"):
        open_named("cifar10", "test", tmp_path)


def test_cifar100_counts_by_its_fine_labels(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    data = records(5, label_bytes=2)
    data[:, 1] = [4, 3, 2, 1, 0]
    data.tofile(folder / "test.bin")
    data.tofile(folder / "train.bin")
    (folder / "fine_label_names.txt").write_text("a\nb\nc\nd\ne\n")
    archive = replace(CIFAR100, files={"train": {"train.bin": 5}, "test": {"test.bin": 5}})
    images = open_archive(archive, "test", tmp_path)
    assert images.labels.tolist() == [4, 3, 2, 1, 0]
    assert images.classes == ("a", "b", "c", "d", "e")


# --- what torchvision has downloaded: pickles, which are read and never unpickled


def in_python_2(content: dict[str, object]) -> bytes:
    """Return a dictionary as Krizhevsky's Python 2 wrote it: texts are bytes, and so is an array's content."""

    def text(value: bytes) -> bytes:
        return (b"U" + struct.pack("<B", len(value)) if len(value) < 256 else b"T" + struct.pack("<i", len(value))) + value

    def written(value: object) -> bytes:
        if isinstance(value, str):
            return text(value.encode())
        if isinstance(value, list):
            return b"](" + b"".join(written(part) for part in value) + b"e"
        if isinstance(value, int):
            return b"K" + struct.pack("<B", value)
        assert isinstance(value, np.ndarray)
        shape = b"M" + struct.pack("<H", value.shape[0]) + b"M" + struct.pack("<H", value.shape[1]) + b"\x86"
        kind = b"cnumpy\ndtype\n" + text(b"u1") + b"K\0K\1\x87R(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
        begun = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87Rq\x01"
        return begun + b"(K\1" + shape + kind + b"\x89" + text(value.tobytes()) + b"tb"

    return b"\x80\x02}(" + b"".join(written(name) + written(value) for name, value in content.items()) + b"u."


def by_python_3(protocol: int):
    return lambda content: pickle.dumps(content, protocol)


FORMS = {"Python 2": in_python_2, **{f"protocol {number}": by_python_3(number) for number in range(6)}}


def left_by_torchvision(folder: Path, write=in_python_2, *, hundred: bool = False) -> Archive:
    """Write what torchvision leaves of a CIFAR of 4 + 4 training and 3 test images; return the set's description."""
    base, key = (CIFAR100, "fine_labels") if hundred else (CIFAR10, "labels")
    names = ["train", "test"] if hundred else ["data_batch_1", "data_batch_2", "test_batch"]
    counts = dict(zip(names, [4, 3] if hundred else [4, 4, 3], strict=True))
    home = folder / base.also.folder
    home.mkdir(parents=True)
    for name, count in counts.items():
        found = records(count)
        labels = found[:, 0].tolist()
        content = {"batch_label": name, key: labels, "data": found[:, 1:].copy(), "filenames": [f"{n}.png" for n in labels]}
        (home / name).write_bytes(write({**content, **({"coarse_labels": [0] * count} if hundred else {})}))
    if hundred:
        (home / "meta").write_bytes(write({"fine_label_names": list("abcdefghij"), "coarse_label_names": ["x"]}))
    files = {"train": dict.fromkeys(names[:-1], 4), "test": {names[-1]: 3}}
    return replace(base, also=replace(base.also, files=files))


@pytest.mark.parametrize("write", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("hundred", [False, True])
def test_what_torchvision_left_is_read_with_the_same_pixels_and_nothing_is_downloaded(tmp_path: Path, write, hundred) -> None:
    archive = left_by_torchvision(tmp_path, write, hundred=hundred)
    test = open_archive(archive, "test", tmp_path, mirror="file:///nowhere")
    assert test.labels.tolist() == [0, 1, 2]
    assert test.classes[:2] == (("a", "b") if hundred else ("airplane", "automobile"))
    for number in range(3):
        assert np.array_equal(test.image(number).numpy().ravel(), records(3)[number, 1:])
    assert test.fingerprint() == open_archive(archive, "test", tmp_path).fingerprint()
    assert len(open_archive(archive, "train", tmp_path)) == (4 if hundred else 8)


def test_an_archive_that_torchvision_left_is_unpacked_where_it_is_whole(host, tmp_path: Path) -> None:
    archive = left_by_torchvision(tmp_path)
    home = tmp_path / archive.also.folder
    packed = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(home, home.name)
    for file in home.iterdir():
        file.unlink()
    for md5 in (archive.also.md5, hashlib.md5(packed.read_bytes()).hexdigest()):
        known = replace(archive, also=replace(archive.also, md5=md5))
        if md5 == archive.also.md5:
            with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz: has the md5 checksum .* Remove it to download the set"):
                open_archive(known, "test", tmp_path, mirror=host.url)
            assert packed.exists()
        else:
            assert len(open_archive(known, "test", tmp_path, mirror=host.url)) == 3
    assert host.asked == []


def test_half_of_what_torchvision_left_is_not_taken_for_the_set(host, tmp_path: Path) -> None:
    packed = small_cifar(host.folder)
    left = left_by_torchvision(tmp_path)
    (tmp_path / left.also.folder / "data_batch_2").unlink()
    with pytest.warns(RuntimeWarning, match="cifar-10-batches-py: lacks data_batch_2, so cifar10 is downloaded"):
        assert len(open_archive(replace(packed, also=left.also), "train", tmp_path, mirror=host.url)) == 8
    assert len(host.asked) == 1


class Gadget:
    """Makes a file where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return (Path.touch, (self.canary,))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("place", ["data", "labels", "filenames", "alone"])
def test_a_pickle_that_would_run_code_is_read_without_running_it(tmp_path: Path, protocol, place) -> None:
    archive, canary = left_by_torchvision(tmp_path), tmp_path / "canary"
    content = {"labels": [0, 1, 2], "data": records(3)[:, 1:].copy(), place: Gadget(canary)}
    evil = pickle.dumps(Gadget(canary) if place == "alone" else content, protocol)
    (tmp_path / archive.also.folder / "test_batch").write_bytes(evil)
    if place == "filenames":  # nobody asks for it
        assert len(open_archive(archive, "test", tmp_path)) == 3
    else:
        with pytest.raises(DataError, match=r"test_batch: .*Remove .* to download it again\."):
            open_archive(archive, "test", tmp_path)
    assert not canary.exists()
    pickle.loads(evil)
    assert canary.exists()  # so it would have


@given(cut=st.integers(0, 20_000), at=st.integers(0, 20_000), byte=st.integers(0, 255), form=st.sampled_from(list(FORMS.values())))
@settings(max_examples=40, deadline=None)
def test_a_damaged_pickle_gives_its_content_or_a_data_error(cut, at, byte, form) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = left_by_torchvision(Path(folder), form)
        file = Path(folder) / archive.also.folder / "test_batch"
        content = bytearray(file.read_bytes())
        content[at % len(content)] = byte
        file.write_bytes(content[: max(1, len(content) - cut)] if cut % 2 else content)
        try:
            images = open_archive(archive, "test", Path(folder))
        except DataError as error:
            assert str(Path(folder)) in str(error)
        else:
            assert len(images) == 3
            assert images.labels.max() < 10


@pytest.mark.parametrize("archive", [CIFAR10, CIFAR100], ids=lambda archive: archive.name)
def test_the_names_and_checksums_of_torchvisions_archives_are_torchvisions(archive) -> None:
    theirs = {"cifar10": torchvision.datasets.CIFAR10, "cifar100": torchvision.datasets.CIFAR100}[archive.name]
    also = archive.also
    assert (also.url, also.folder, also.md5, also.packed) == (theirs.url, theirs.base_folder, theirs.tgz_md5, theirs.filename)
    assert list(also.files["train"]) == [name for name, _ in theirs.train_list]
    assert list(also.files["test"]) == [name for name, _ in theirs.test_list]


def test_the_digits_are_those_that_scikit_learn_gives(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    found = load_digits()
    given = {(row.tobytes(), int(digit)) for row, digit in zip(found.images, found.target, strict=True)}
    read = [open_named("digits", split, tmp_path) for split in ("train", "test")]
    pixels = [
        (np.asarray(part.images.picture(i))[..., 0] * (16 / 255)).round() for part in read for i in range(len(part))
    ]
    labels = [int(label) for part in read for label in part.labels]
    assert {(picture.astype(float).tobytes(), label) for picture, label in zip(pixels, labels, strict=True)} == given


def test_the_digits_are_there_offline_in_a_fixed_split(tmp_path: Path) -> None:
    train, test = open_named("digits", "train", tmp_path), open_named("digits", "test", tmp_path)
    assert (len(train), len(test)) == (1438, 359)
    assert tuple(train.image(0).shape) == (3, 8, 8)
    assert int(train.images.pixels.max()) == 255
    assert np.bincount(test.labels).min() >= 34
    assert not set(train.images.numbers) & set(test.images.numbers)


def test_every_entry_of_the_table_fits_its_torchvision_class() -> None:
    for name, entry in TORCHVISION.items():
        cls = getattr(torchvision.datasets, entry.cls)
        known = set(inspect.signature(cls.__init__).parameters)
        known |= set(inspect.signature(cls.__mro__[1].__init__).parameters)
        for arguments in entry.splits.values():
            assert set(entry.common | arguments) <= known, name
        assert entry.by_hand or "download" in known, name


def test_every_set_can_be_trained_and_tested() -> None:
    assert len(names()) == len(dataset_names()) > 30
    for name in names():
        assert {"train", "test"} <= set(splits_of(name)), name


def write_idx(path: Path, values: np.ndarray) -> None:
    """Write an array in the format of MNIST."""
    header = struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


def test_a_set_that_is_unpacked_already_is_not_downloaded(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)
    for part in ("train", "t10k"):
        for kind, values in (("images-idx3", pixels), ("labels-idx1", np.arange(6))):
            write_idx(raw / f"{part}-{kind}-ubyte.gz", values)
            (raw / f"{part}-{kind}-ubyte").write_bytes(gzip.decompress((raw / f"{part}-{kind}-ubyte.gz").read_bytes()))
    images = open_named("fashion-mnist", "test", tmp_path)
    assert images.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert images.classes[9] == "Ankle boot"
    assert np.array_equal(images.image(3)[1].numpy(), pixels[3])


def test_a_failed_download_of_torchvisions_is_one_line(host, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"usps .* cannot be downloaded .* by hand .*--mirror") as error:
        open_named("usps", "test", tmp_path, mirror=host.url)
    assert "\n" not in str(error.value)


def test_an_unknown_name_or_split_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Did you mean 'cifar10'"):
        open_named("cifra10", "train", tmp_path)
    with pytest.raises(DataError, match="cifar10 has no split 'val': it has train, test"):
        open_named("cifar10", "val", tmp_path)
