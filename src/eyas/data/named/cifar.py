"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): from the binary archives, or from what torchvision has downloaded."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eyas.data.images.imageset import ArrayImages, ImageSet
from eyas.data.named.download import fetch, locked, unpack
from eyas.data.named.pickled import as_bytes, as_pixels, read_pickle
from eyas.errors import DataError, few
from eyas.files.reading import read_file

PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Archive:
    """A published archive of records: label bytes (the last one counts), then 32x32 red, green, blue.

    `files` names the files of each split and the records in each. Where `labels` names a key, the files are pickles of
    the labels under it and of the pixels under `data`. `also` is another form of the same set, which is read where it
    is there, and never downloaded.
    """

    name: str
    url: str
    folder: str
    files: dict[str, dict[str, int]]
    classes: tuple[str, ...] | str
    label_bytes: int = 1
    md5: str | None = None
    sha256: str | None = None
    labels: str = ""
    also: Archive | None = None

    @property
    def packed(self) -> str:
        """The name of its file."""
        return self.url.rpartition("/")[2]

    def lacking_in(self, directory: Path) -> list[str]:
        """Return which of its files are not there, unpacked."""
        names = (name for split in self.files.values() for name in split)
        return [name for name in names if not (directory / self.folder / name).exists()]


_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10 = Archive(
    name="cifar10",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    folder="cifar-10-batches-bin",
    files={"train": {f"data_batch_{number}.bin": 10_000 for number in range(1, 6)}, "test": {"test_batch.bin": 10_000}},
    classes=_CLASSES,
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    also=Archive(
        name="cifar10",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        folder="cifar-10-batches-py",
        files={"train": {f"data_batch_{number}": 10_000 for number in range(1, 6)}, "test": {"test_batch": 10_000}},
        classes=_CLASSES,
        md5="c58f30108f718f92721af3b95e74349a",
        labels="labels",
    ),
)
CIFAR100 = Archive(
    name="cifar100",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    folder="cifar-100-binary",
    files={"train": {"train.bin": 50_000}, "test": {"test.bin": 10_000}},
    classes="fine_label_names.txt",
    label_bytes=2,
    md5="03b5dce01913d631647c71ecec9e9cb8",
    also=Archive(
        name="cifar100",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        folder="cifar-100-python",
        files={"train": {"train": 50_000}, "test": {"test": 10_000}},
        classes="meta",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        labels="fine_labels",
    ),
)


def open_archive(archive: Archive, split: str, directory: Path, *, mirror: str | None = None) -> ImageSet:
    """Return one split of an archive, downloaded and unpacked into `directory` unless it is there in either form.

    Raises `DataError` where it cannot be downloaded, or its files do not have the published size and labels.
    """
    forms = [form for form in (archive, archive.also) if form is not None]
    there = next((form for form in forms if not form.lacking_in(directory)), None)
    if there is None:
        there = next((form for form in forms if (directory / form.packed).is_file()), archive)
        for form in forms if not (directory / there.packed).is_file() else ():
            if (folder := directory / form.folder).is_dir():
                lacks = f"{folder}: lacks {few(form.lacking_in(directory))}, so {archive.name} is downloaded"
                warnings.warn(lacks, RuntimeWarning, stacklevel=2)
        packed = fetch(there.url, directory / there.packed, md5=there.md5, sha256=there.sha256, mirror=mirror)
        with locked(directory / there.folder):
            if there.lacking_in(directory):
                unpack(packed, directory)
    folder = directory / there.folder
    classes = read_classes(there, folder)
    parts = [read_file_of(there, folder / name, count) for name, count in there.files[split].items()]
    labels = np.concatenate([labels for labels, _ in parts]).astype(np.int64)
    if labels.min() < 0 or labels.max() >= len(classes):
        raise DataError(f"{folder}: label {labels.max()} is out of range. Remove the folder to download it again.")
    planes = np.concatenate([pixels for _, pixels in parts]).reshape(-1, 3, 32, 32)
    source = f"{there.name}:{split}"
    images = ArrayImages.of(source, np.ascontiguousarray(planes.transpose(0, 2, 3, 1)))
    return ImageSet(source, classes, True, labels, images, ordered=True)


def read_classes(archive: Archive, folder: Path) -> tuple[str, ...]:
    """Return the names of the classes."""
    if isinstance(archive.classes, tuple):
        return archive.classes
    path = folder / archive.classes
    try:
        if not archive.labels:
            return tuple(path.read_text("utf-8").split())
        names = read_entries(path)[archive.labels.replace("labels", "label_names").encode()]
        return tuple(as_bytes(name).decode() for name in names)
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{path}: the class names cannot be read. Remove {folder} to download it again.") from None


def read_file_of(archive: Archive, path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels [count] and pixels, uint8 [count, 3072], of a file, if it has the published size."""
    again = f"Remove {path.parent} to download it again."
    if archive.labels:
        try:
            said = read_entries(path)
            labels, pixels = np.array(said[archive.labels.encode()]), as_pixels(said[b"data"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: is no batch of {archive.name}: {error}. {again}") from None
        if labels.shape != (count,) or labels.dtype.kind not in "iu" or pixels.shape != (count, PIXELS):
            raise DataError(f"{path}: has {len(pixels)} images with {labels.size} labels, not {count}. {again}")
        return labels, pixels
    width = archive.label_bytes + PIXELS
    data = np.frombuffer(read_file(path), np.uint8)
    if data.size != count * width:
        raise DataError(f"{path}: has {data.size} bytes, not {count * width}. {again}")
    records = data.reshape(count, width)
    return records[:, archive.label_bytes - 1], records[:, archive.label_bytes :]


def read_entries(path: Path) -> dict[bytes, Any]:
    """Return the entries of a pickle by their names. Raises `ValueError` where it holds anything but plain values."""
    content = read_pickle(read_file(path))
    if not isinstance(content, dict):
        raise ValueError("it holds no entries by name")
    return {as_bytes(name): value for name, value in content.items()}
