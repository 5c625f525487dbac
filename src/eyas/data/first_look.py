"""Cheap checks before the first step: identical images with different labels, leaks, classes too small to learn.

`eyas inspect` looks closer; this goes by what was seen of each picture when it was decoded.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from eyas.data.classes import plain
from eyas.data.findings import FEW_IMAGES
from eyas.data.images.imageset import ImageSet
from eyas.data.loading.stores import Marks

Named = tuple[ImageSet, Marks | None]  # a set and the marks of its pictures, where they were decoded
SHOWN = 5


@dataclass(frozen=True, slots=True)
class FirstLook:
    """`notes` are sentences for the user; `leaks` says of each other set how many of its images are training images."""

    notes: tuple[str, ...]
    leaks: dict[str, int]


def first_look(train: Named, others: dict[str, Named]) -> FirstLook:
    """Return what there is to say of the sets of a run; labels index the same classes in all of them."""
    sets = {"train": train, **others}
    marks = {split: found for split, (_, found) in sets.items() if found is not None}
    found, times = np.unique(np.concatenate([np.zeros(0, np.uint64), *marks.values()]), return_counts=True)
    # (split, row) of pictures that are equal as they were decoded, however each set keeps them
    several, equal = found[(times > 1) & (found > 0)], defaultdict[int, list[tuple[str, int]]](list)
    for split, one in marks.items():
        for row in np.flatnonzero(np.isin(one, several, kind="sort")).tolist():
            equal[int(one[row])].append((split, row))
    shared = [picture for group in equal.values() if "train" in dict(group) for picture in group]
    leaks = {split: sum(name == split for name, _ in shared) for split in others}
    notes, conflicts, classes = list[str](), [], train[0].classes
    for group in equal.values():
        seen = [(sets[split][0], row) for split, row in group]
        labels = [int(images.labels[row]) for images, row in seen]
        other = next((picture for picture, label in zip(seen, labels, strict=True) if label != labels[0]), None)
        if other is not None:
            conflicts.append((seen[0], other))
    if conflicts:
        count = f"{len(conflicts):,} picture{' has' if len(conflicts) == 1 else 's have'} different labels"
        first, second = (f"{images.place(row)} ({classes[images.labels[row]]})" for images, row in conflicts[0])
        notes.append(f"{count}: {first} is the same as {second}; eyas inspect lists them")
    counts = np.bincount(train[0].labels, minlength=len(classes))
    few = [f"{classes[number]} ({counts[number]})" for number in np.flatnonzero(counts < FEW_IMAGES)]
    if few:
        told = f"{len(few):,} of {len(counts):,} classes have fewer than {FEW_IMAGES} training images"
        notes.append(f"{told}: {_list(few)}")
    names = defaultdict[str, list[str]](list)
    for name in classes:
        names[plain(name)].append(name)
    if same := [" and ".join(map(repr, group)) for group in names.values() if len(group) > 1]:
        notes.append(f"classes whose names hardly differ: {_list(same)}; if they mean the same, write them alike")
    return FirstLook(tuple(notes), {split: count for split, count in leaks.items() if count})


def _list(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
