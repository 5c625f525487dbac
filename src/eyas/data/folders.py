"""Folders of images: a folder per class, perhaps under train/, val/ and test/."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from eyas.data.imageset import FileImages, ImageSet
from eyas.data.packed import PackedStrings
from eyas.data.shape import is_image
from eyas.errors import DataError

SPLIT_FOLDERS = {
    "train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing"),
}  # fmt: skip


def split_folder(folder: Path, split: str) -> Path | None:
    """Return the folder that holds a split inside `folder`, or None; only where there is one for training."""
    if not any((folder / name).is_dir() for name in SPLIT_FOLDERS["train"]):
        return None
    return next((folder / name for name in SPLIT_FOLDERS[split] if (folder / name).is_dir()), None)


def open_folder(folder: Path, split: str) -> ImageSet:
    """Return the images of a folder with a folder per class, or of its part for `split`.

    Class names are the folders' names, sorted; images may lie deeper. Hidden files and files that are no
    images are left out with a note; a class without images stays, with a note. Raises `DataError` where there
    is no image.
    """
    part = split_folder(folder, split)
    if part is None and split_folder(folder, "train") is not None:
        raise DataError(f"{folder}: has a folder for training, but none for {split!r}.")
    base = part or folder
    classes = sorted(entry.name for entry in os.scandir(base) if entry.is_dir() and entry.name[0] != ".")
    if not classes:
        raise DataError(f"{base}: holds no folders. It needs one folder per class, with its images in it.")
    paths: list[str] = []
    sizes: list[int] = []
    labels: list[int] = []
    other = 0
    for label, name in enumerate(classes):
        found, ignored = _images_in(base / name)
        other += ignored
        paths += [f"{name}/{path}" for path, _ in found]
        sizes += [size for _, size in found]
        labels += [label] * len(found)
    if not paths:
        raise DataError(f"{base}: its {len(classes)} folder(s) hold no images.")
    source = str(base)
    images = FileImages(
        source, source, PackedStrings.of(paths), np.zeros(len(paths), np.int32), np.array(sizes, np.int64)
    )
    notes = _notes(base, classes, labels, other)
    return ImageSet(source, tuple(classes), True, np.array(labels, np.int64), images, notes)


def _images_in(folder: Path) -> tuple[list[tuple[str, int]], int]:
    """Return (path, bytes) of the images under `folder`, sorted, and how many other files there are."""
    found, other = [], 0
    for base, folders, names in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if name[0] != "."]
        for name in names:
            path = Path(base) / name
            if name[0] != "." and is_image(name) and path.is_file():
                found.append((path.relative_to(folder).as_posix(), path.stat().st_size))
            elif name[0] != ".":
                other += 1
    return sorted(found), other


def _notes(base: Path, classes: list[str], labels: list[int], other: int) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    if other:
        notes += (f"{base}: {other} file(s) that are no images are left out",)
    empty = [name for label, name in enumerate(classes) if label not in set(labels)]
    if empty:
        notes += (f"{base}: {len(empty)} class(es) without images: {', '.join(empty[:10])}",)
    return notes
