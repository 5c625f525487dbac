"""What can be told cheaply before the first step: equal pictures with different labels, leaks, classes hardly to learn.

`eyas inspect` looks closer; this looks at the pixels that are in memory by then anyway.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyas.data.classes import plain
from eyas.data.findings import FEW_IMAGES
from eyas.data.imageset import FileImages, ImageSet
from eyas.pathnames import is_absolute

Pixels = NDArray[np.uint8]
Named = tuple[ImageSet, Pixels | None]  # a set and its pixels uint8 [N, h, w, 3], where they are in memory
_PLACES, _RUN = (0.3, 0.45, 0.55, 0.7), 256  # where in a picture bytes are read to find candidates, and how many
_CANDIDATES = 50_000  # pictures that are hashed whole
SHOWN = 5


@dataclass(frozen=True, slots=True)
class FirstLook:
    """`notes` are sentences for the user; `leaks` says of each other set how many of its images are training images."""

    notes: tuple[str, ...]
    leaks: dict[str, int]


def first_look(train: Named, others: dict[str, Named]) -> FirstLook:
    """Return what there is to say of the sets of a run; labels index the same classes in all of them."""
    sets = {"train": train, **others}
    groups = list(_equal(sets))
    leaks = {split: len({row for group in groups if _has(group, "train") for name, row in group if name == split})
             for split in others}  # fmt: skip
    notes = (*_conflicts(sets, groups), *_few(train[0]), *_alike(train[0]))
    return FirstLook(tuple(notes), {split: count for split, count in leaks.items() if count})


Group = list[tuple[str, int]]  # (split, row) of pictures that are equal


def _has(group: Group, split: str) -> bool:
    return any(name == split for name, _ in group)


def _equal(sets: dict[str, Named]) -> Iterator[Group]:
    """Yield groups of equal pictures: by pixels where they are in memory in one size, else by the files' paths."""
    arrays = {split: pixels for split, (_, pixels) in sets.items() if pixels is not None}
    shapes = {pixels.shape[1:] for pixels in arrays.values()}
    if len(arrays) == len(sets) and len(shapes) == 1:
        yield from _equal_pixels(arrays)
    elif all(isinstance(images.images, FileImages) for images, _ in sets.values()):
        yield from _equal_paths(sets)


def _equal_pixels(arrays: dict[str, Pixels]) -> Iterator[Group]:
    keys = {split: _keys(pixels) for split, pixels in arrays.items()}
    found, counts = np.unique(np.concatenate(list(keys.values())), return_counts=True)
    several, groups, left = found[counts > 1], defaultdict[bytes, Group](list), _CANDIDATES
    for split, pixels in arrays.items():
        for row in np.flatnonzero(np.isin(keys[split], several, kind="sort"))[:left].tolist():
            picture, left = pixels[row], left - 1
            if (picture != picture[0, 0]).any():  # a single colour says nothing
                groups[hashlib.blake2b(picture.tobytes(), digest_size=16).digest()].append((split, row))
    yield from (group for group in groups.values() if len(group) > 1)


def _keys(pixels: Pixels) -> NDArray[np.uint64]:
    """Return a number of some bytes of each picture, uint64 [N]: equal pictures have the same, others hardly ever."""
    flat = pixels.reshape(len(pixels), -1)
    width = flat.shape[1]
    starts = [int(place * (width - _RUN)) for place in _PLACES] if width > len(_PLACES) * _RUN else []
    found = np.zeros(len(flat), np.uint64)
    for first in range(0, len(flat), 4096):
        rows = flat[first : first + 4096]
        some = np.concatenate([rows[:, start : start + _RUN] for start in starts], axis=1) if starts else rows
        padded = np.pad(some, ((0, 0), (0, -some.shape[1] % 8))) if some.shape[1] % 8 else np.ascontiguousarray(some)
        words = padded.view(np.uint64)
        factors = np.random.default_rng(0).integers(0, 2**63, words.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
        found[first : first + 4096] = (words * factors).sum(axis=1, dtype=np.uint64)
    return found


def _equal_paths(sets: dict[str, Named]) -> Iterator[Group]:
    groups = defaultdict[str, Group](list)
    for split, (images, _) in sets.items():
        files = images.images
        assert isinstance(files, FileImages)
        root = os.path.realpath(files.root)
        for row, path in enumerate(files.paths):
            groups[path if is_absolute(path) else f"{root}/{path}"].append((split, row))
    yield from (group for group in groups.values() if len(group) > 1)


def _conflicts(sets: dict[str, Named], groups: list[Group]) -> Iterator[str]:
    """Yield a sentence on equal pictures with different labels, with the first of them."""
    conflicts = []
    for group in groups:
        labels = [int(sets[split][0].labels[row]) for split, row in group]
        other = next((place for place, label in enumerate(labels) if label != labels[0]), None)
        if other is not None:
            conflicts.append((group[0], group[other]))
    if not conflicts:
        return
    (one, other_one), classes = conflicts[0], sets["train"][0].classes

    def told(seen: tuple[str, int]) -> str:
        images = sets[seen[0]][0]
        return f"{images.place(seen[1])} ({classes[images.labels[seen[1]]]})"

    count = f"{len(conflicts):,} picture{' has' if len(conflicts) == 1 else 's have'} different labels"
    yield f"{count}: {told(one)} is the same as {told(other_one)}; eyas inspect lists them"


def _few(train: ImageSet) -> Iterator[str]:
    counts = np.bincount(train.labels, minlength=len(train.classes))
    few = [f"{train.classes[number]} ({counts[number]})" for number in np.flatnonzero(counts < FEW_IMAGES)]
    if few:
        yield f"{len(few):,} of {len(counts):,} classes have fewer than {FEW_IMAGES} training images: {_list(few)}"


def _alike(train: ImageSet) -> Iterator[str]:
    names = defaultdict[str, list[str]](list)
    for name in train.classes:
        names[plain(name)].append(name)
    same = [" and ".join(repr(name) for name in group) for group in names.values() if len(group) > 1]
    if same:
        yield f"classes whose names hardly differ: {_list(same)}; if they mean the same, write them alike"


def _list(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
