"""Matches the classes of two sets by name: a label's number means nothing outside its own set."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import numpy as np

from eyas.data.images.imageset import ArrayImages, ImageSet
from eyas.data.lists.class_markup import as_number
from eyas.data.lists.labels import visible, without_images
from eyas.errors import DataError, suggest

SHOWN = 10
HOW = "Name the classes: --classes FILE, one name per line in the order of the numbers."


def match_classes(train: ImageSet, other: ImageSet) -> tuple[ImageSet, ImageSet]:
    """Return both sets with the same classes in the same order, the training set's; notes say what was done.

    Bare numbers take the names of the other set only where that set's order was given. Raises `DataError` for
    classes that the training set does not have, and where the numbers' meaning would be a guess.
    """
    known = set(train.classes)  # a 1 is called 1.0 where the training set does: its other labels are 0.5, 1.5
    whole = {name for name in other.classes if as_number(name) is not None and f"{name}.0" in known} - known
    if whole:
        classes = tuple(f"{name}.0" if name in whole else name for name in other.classes)
        other = replace(other, classes=classes, named=True)
    if not train.named and other.named and not _same_texts(train, other):
        train = _name_numbers(train, other)
    elif train.named and not other.named and not _same_texts(other, train):
        other = _name_numbers(other, train)
    if other.classes != train.classes:
        _refuse_unknown(train, other)
        index = {name: number for number, name in enumerate(train.classes)}
        table, notes = np.array([index.get(name, -1) for name in other.classes], np.int64), other.notes
        if set(other.classes) == set(train.classes):
            notes += (f"{other.source} orders its classes differently from {train.source}: matched by name",)
        other = replace(
            other, classes=train.classes, labels=table[other.labels], named=train.named, ordered=train.ordered,
            notes=notes,
        )  # fmt: skip
    absent = (note for note in without_images(other.source, train.classes, other.labels) if note not in other.notes)
    return train, replace(other, notes=(*other.notes, *absent))


def match_outputs(classes: tuple[str, ...], model: str, images: ImageSet) -> ImageSet:
    """Return the set with labels that index a model's outputs, matched by the classes' names. Raises `DataError`."""
    bare = all(as_number(name) is not None for name in classes)
    nothing = ArrayImages.of("model", np.zeros((0, 1, 1, 3), dtype=np.uint8))
    outputs = ImageSet(
        f"the {model} model", classes, not bare, np.zeros(0, dtype=np.int64), nothing, ordered=not bare
    )  # fmt: skip
    return match_classes(outputs, images)[1]


def _same_texts(bare: ImageSet, named: ImageSet) -> bool:
    """Tell whether the numbers are themselves names in the other set (digits, years, folders called 0, 1, 2).

    Raises `DataError` where they are that, and numbers of other classes too.
    """
    texts = _occurring(bare)
    if not set(texts) <= set(named.classes) and None in map(as_number, named.classes):
        return False
    numbers = [int(text) for text in texts]
    if named.ordered and numbers and min(numbers) >= 0 and max(numbers) < len(named.classes):
        for text, number in zip(texts, numbers, strict=True):
            if named.classes[number] != text:
                raise DataError(
                    f"{bare.source}: label {text} may be the class of this name in {named.source}, or the number of "
                    f"its class {named.classes[number]!r}. {HOW}"
                )
    return True


def _occurring(images: ImageSet) -> list[str]:
    return [images.classes[number] for number in np.unique(images.labels)] if len(images) else list(images.classes)


def _name_numbers(bare: ImageSet, named: ImageSet) -> ImageSet:
    """Return `bare` with its numbers read as indices into the classes of `named`."""
    if not named.ordered:
        raise DataError(
            f"{bare.source} labels its images by number and {named.source} by name, in no given order. {HOW}"
        )
    numbers = np.array([int(name) for name in bare.classes], np.int64)
    first = bare.first
    if first is None:
        counted = set(numbers.tolist()) == set(range(1, len(named.classes) + 1))
        first = 0 if 0 in numbers else 1 if counted else None
    if first is None:
        raise DataError(
            f"{bare.source} has labels {numbers.min()} to {numbers.max()}, "
            f"{named.source} has {len(named.classes)} classes: the labels may count from 0 or from 1. "
            f"Pass --first-label 0 (or 1). {HOW}"
        )
    places = (numbers - first)[bare.labels]
    beyond = np.flatnonzero((places < 0) | (places >= len(named.classes)))
    if len(beyond):
        place, label = bare.place(int(beyond[0])), bare.classes[bare.labels[beyond[0]]]
        last = len(named.classes) - 1 + first
        raise DataError(
            f"{place}: label {label} is out of range: {named.source} has {len(named.classes)} classes "
            f"({first} to {last}); {len(beyond)} image(s) of {bare.source} lie beyond."
        )
    more = ", ..." if len(named.classes) > SHOWN else ""
    note = (
        f"{bare.source} labels its images by number, counted from {first}: "
        f"the names are those of {named.source} ({', '.join(named.classes[:SHOWN])}{more})"
    )
    notes = (*bare.notes, note)
    return replace(bare, classes=named.classes, labels=places, named=True, ordered=True, notes=notes)


def _refuse_unknown(train: ImageSet, other: ImageSet) -> None:
    unknown = [name for name in _occurring(other) if name not in train.classes]
    if not unknown:
        return
    alike = {plain(name): name for name in train.classes}
    for name in unknown:
        if (same := alike.get(plain(name))) is not None:
            raise DataError(
                f"{other.source} has the class {name!r}, {train.source} has {same!r}: "
                "they differ only in case, spaces or signs. Write them alike in both."
            )
    counted = f"{len(unknown)} class{'es' * (len(unknown) > 1)}"
    shown = [f"{name!r}.{suggest(name, train.classes)}" for name in unknown[:SHOWN]]
    more = [f"... and {len(unknown) - SHOWN} more."] if len(unknown) > SHOWN else []
    if None not in map(as_number, unknown) and train.ordered:
        more.append(f"If these numbers count the classes of {train.source}, pass --first-label 0 (or 1).")
    raise DataError("\n".join([f"{other.source} has {counted} that {train.source} does not have:", *shown, *more]))


def plain(name: str) -> str:
    """Return a name without what is easily written differently: case, spaces, hyphens, Unicode forms, the unseen."""
    text = visible(unicodedata.normalize("NFKC", name)).casefold()
    if as_number(text) is not None:
        return text  # -1 is not 1
    return "".join(letter for letter in text if letter not in " _-\t")
