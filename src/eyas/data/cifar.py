"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from their official binary archives, which hold no pickles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eyas.data.download import fetch, locked, unpack
from eyas.data.imageset import ArrayImages, ImageSet
from eyas.data.reading import read_file
from eyas.errors import DataError

PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Archive:
    """A published archive of records: label bytes (the last one counts), then 32x32 red, green, blue.

    `files` names the files of each split and the records in each.
    """

    name: str
    url: str
    folder: str
    files: dict[str, dict[str, int]]
    classes: tuple[str, ...] | str
    label_bytes: int = 1
    md5: str | None = None
    sha256: str | None = None


CIFAR10 = Archive(
    name="cifar10",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    folder="cifar-10-batches-bin",
    files={
        "train": {f"data_batch_{number}.bin": 10_000 for number in range(1, 6)},
        "test": {"test_batch.bin": 10_000},
    },
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
CIFAR100 = Archive(
    name="cifar100",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    folder="cifar-100-binary",
    files={"train": {"train.bin": 50_000}, "test": {"test.bin": 10_000}},
    classes="fine_label_names.txt",
    label_bytes=2,
    md5="03b5dce01913d631647c71ecec9e9cb8",
)


def open_archive(archive: Archive, split: str, directory: Path, *, mirror: str | None = None) -> ImageSet:
    """Return one split of an archive, downloaded and unpacked into `directory` unless it is there.

    Raises `DataError` where it cannot be downloaded, or its files do not have the published size and labels.
    """
    folder = directory / archive.folder
    _provide(archive, directory, mirror)
    classes = _classes(archive, folder)
    parts = [_records(folder / name, count, archive) for name, count in archive.files[split].items()]
    labels = np.concatenate([part[:, archive.label_bytes - 1] for part in parts]).astype(np.int64)
    if labels.max() >= len(classes):
        raise DataError(f"{folder}: label {labels.max()} is out of range. Remove the folder to download it again.")
    planes = np.concatenate([part[:, archive.label_bytes :] for part in parts]).reshape(-1, 3, 32, 32)
    pixels = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    source = f"{archive.name}:{split}"
    return ImageSet(source, classes, True, labels, ArrayImages.of(source, pixels), ordered=True)


def _provide(archive: Archive, directory: Path, mirror: str | None) -> None:
    """See that every file is there, one process at a time."""
    folder = directory / archive.folder
    files = [folder / name for split in archive.files.values() for name in split]
    if all(file.exists() for file in files):
        return
    packed = directory / archive.url.rpartition("/")[2]
    fetch(archive.url, packed, md5=archive.md5, sha256=archive.sha256, mirror=mirror)
    with locked(folder):
        if not all(file.exists() for file in files):
            unpack(packed, directory)


def _classes(archive: Archive, folder: Path) -> tuple[str, ...]:
    if isinstance(archive.classes, tuple):
        return archive.classes
    path = folder / archive.classes
    try:
        return tuple(path.read_text("utf-8").split())
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path}: the class names cannot be read. Remove {folder} to download it again.") from None


def _records(path: Path, count: int, archive: Archive) -> np.ndarray:
    """Return the records of a file, uint8 [count, label bytes + pixels], if it has the published size."""
    width = archive.label_bytes + PIXELS
    data = np.frombuffer(read_file(path), np.uint8)
    if data.size != count * width:
        raise DataError(
            f"{path}: has {data.size} bytes, not {count * width}. Remove {path.parent} to download it again."
        )
    return data.reshape(count, width)
