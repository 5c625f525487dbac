"""Named sets: the table fits torchvision, the embedded digits work offline, CIFAR is read without pickles."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets

from eyas.data.cifar import CIFAR10, CIFAR100, Archive, open_archive
from eyas.data.named import TORCHVISION, dataset_names, names, open_named, splits_of
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
