"""Folders of images: a folder per class, perhaps under train/, val/ and test/."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from eyas.data.imageset import FileImages, ImageSet
from eyas.data.packed import PackedStrings, Packing
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
        others = [part for name in SPLIT_FOLDERS if (part := split_folder(folder, name)) is not None]
        there = " or ".join(str(part) for part in reversed(others))
        raise DataError(f"{folder}: has a folder for training, but none for {split!r}. Name the one to use: {there}")
    base = part or folder
    inside = list(os.scandir(base))
    classes = sorted(entry.name for entry in inside if entry.is_dir() and entry.name[0] != ".")
    if not classes:
        raise DataError(f"{base}: holds no folders. It needs one folder per class, with its images in it.")
    for name in classes:
        if not name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in name):
            raise DataError(f"{base / name}: the folder's name is not UTF-8 text, so it can name no class. Rename it.")
    paths, sizes, counts, other = Packing(), [np.zeros(0, np.int64)], [], 0
    hidden = sum(entry.name[0] == "." for entry in inside)
    for name in classes:
        found, ignored, unseen = _images_in(base / name)
        packed = PackedStrings.of(f"{name}/{path}" for path, _ in found)
        paths.add(packed.blob, np.diff(packed.offsets))
        sizes.append(np.array([size for _, size in found], np.int64))
        counts.append(len(found))
        other += ignored
        hidden += unseen
    if not any(counts):
        raise DataError(f"{base}: its {len(classes)} folder(s) hold no images.")
    source, labels = str(base), np.repeat(np.arange(len(classes)), counts)
    images = FileImages(source, source, paths.done(), np.zeros(len(labels), np.int32), np.concatenate(sizes))
    return ImageSet(source, tuple(classes), True, labels, images, _notes(base, classes, counts, (other, hidden)))


def _images_in(folder: Path) -> tuple[list[tuple[str, int]], int, int]:
    """Return (path, bytes) of the images under `folder`, sorted; how many other files there are, and hidden ones."""
    found, other, hidden, waiting = [], 0, 0, [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = list(os.scandir(folder / below))
        except OSError:
            continue
        for entry in entries:
            if entry.name[0] == ".":
                hidden += 1
            elif entry.is_dir():
                waiting += [f"{below}{entry.name}/"] * (not entry.is_symlink())
            elif is_image(entry.name) and entry.is_file():
                found.append((f"{below}{entry.name}", entry.stat().st_size))
            else:
                other += 1
    return sorted(found), other, hidden


def _notes(base: Path, classes: list[str], counts: list[int], left_out: tuple[int, int]) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    other, hidden = left_out
    if other:
        notes += (f"{base}: {other} file(s) that are no images are left out",)
    if hidden:
        notes += (f"{base}: {hidden} hidden file(s) or folder(s) are left out: their names begin with a dot",)
    empty = [name for name, count in zip(classes, counts, strict=True) if not count]
    if empty:
        notes += (f"{base}: {len(empty)} class(es) without images: {', '.join(empty[:10])}",)
    return notes
