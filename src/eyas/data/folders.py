"""Folders of images: a folder per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eyas.data.class_folders import find_layout, without_classes
from eyas.data.images.imageset import FileImages, ImageSet
from eyas.data.images.packed import Packing
from eyas.data.images.walk import EMPTY, Walk
from eyas.errors import DataError


def open_folder(folder: Path, split: str) -> ImageSet:
    """Return the images of a folder with a folder per class, or of its part for `split`, as `find_layout` finds it.

    Class names are the folders' names, sorted; images may lie deeper. Notes say what was left out; a folder without
    images is no class. Raises `DataError` where there is no image, and where a folder cannot be read.
    """
    found = find_layout(folder)
    base = found.part(split)
    walk = Walk(base, by_class=True)
    names, _ = walk.parted()
    if not names:
        raise without_classes(base)
    paths, sizes, counts, deeper = Packing(), [np.zeros(0, np.int64)], dict[str, int](), list[str]()
    for name in names:
        images = list(walk.images(f"{name}/"))
        if not images:
            walk.left_out.add(EMPTY, name)
            continue
        if not name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in name):
            raise DataError(f"{base / name}: the folder's name is not UTF-8 text, so it can name no class. Rename it.")
        paths.add(images)
        sizes.append(np.fromiter(map(walk.size, images), np.int64, len(images)))
        counts[name] = len(images)
        deeper += [name] * all(path.count("/") > 1 for path in images)
    if not counts:
        raise DataError(f"{base}: its {len(names)} folder(s) hold no images. Left out: {walk.left_out.in_words()}.")
    notes = (*found.notes, *walk.left_out.note(base))
    if len(deeper) < len(counts):
        notes += tuple(f"{base / name}: its images lie in folders below it: all are one class" for name in deeper[:3])
    source, labels = str(base), np.repeat(np.arange(len(counts)), list(counts.values()))
    files = FileImages(source, source, paths.done(), np.zeros(len(labels), np.int32), np.concatenate(sizes))
    return ImageSet(source, tuple(counts), True, labels, files, notes)
