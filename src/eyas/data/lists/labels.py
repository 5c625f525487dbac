"""Labels as a list writes them -> numbers of classes: what is a number, what a name, what is neither."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eyas.data.images.packed import Coded
from eyas.data.lists.class_markup import as_number
from eyas.data.lists.class_names import LONGEST_NAME, ClassNames, too_long
from eyas.data.lists.paths import Problems
from eyas.data.lists.several import several_note
from eyas.errors import DataError, suggest

SUGGESTED = 10  # unknown names that get the nearest ones told: no report shows more, and to look for them takes long
FAR = 10  # times the other numbers' end: a single number beyond it is doubted
MISSING = frozenset(
    ("nan", "-nan", "none", "na", "n/a", "#n/a", "#na", "<na>", "null", "nil", "?", "-", "--")
)  # what programs write where there is no value
_AS_CLASS = "leave the line out, or name it in a class file (--classes FILE) if it is a class"
_DECIMAL = re.compile(r"(-?[0-9]+)\.0+")


@dataclass(frozen=True)
class Labels:
    """What the labels mean: `numbers` int64 [N] index into `classes`; `named` is False for bare numbers.

    `first` is the number of the first class of bare numbers, where it was asked for.
    """

    numbers: np.ndarray
    classes: tuple[str, ...]
    named: bool
    ordered: bool
    notes: tuple[str, ...]
    first: int | None = None


@dataclass(frozen=True)
class _Reading:
    """What each text means: its class by `index`; `wrong` ones have a reason instead."""

    index: Mapping[str, int]
    classes: tuple[str, ...]
    named: bool
    notes: tuple[str, ...] = ()
    first: int | None = None


def read_labels(
    labels: Coded,
    lines: NDArray[np.int32],
    names: ClassNames | None,
    first_label: str,
    problems: Problems,
    missing: frozenset[str] = MISSING,
) -> Labels:
    """Return what a list's labels mean; a label without meaning is added to `problems` with its line.

    Names are matched exactly; classes without a class file are those that occur. Texts in `missing` are no labels
    unless a class file names them. Raises `DataError` where a class file and numbers may be meant in two ways.
    """
    rows, known = labels.codes, {names.heading, *names.names} if names else set()
    counts = dict(zip(labels.texts, np.bincount(rows, minlength=len(labels.texts)).tolist(), strict=True))
    wrong = {text: reason for text in counts if text not in known and (reason := _no_label(text, missing))}
    said = {text: count for text, count in counts.items() if text not in wrong}
    found = _by_class_file(said, names, first_label, wrong) if names else _alone(said, first_label, wrong)
    codes = [code for code, text in enumerate(labels.texts) if text in wrong]
    for row in np.flatnonzero(np.isin(rows, codes)).tolist() if wrong else ():
        problems.append((int(lines[row]), wrong[labels.texts[rows[row]]]))
    numbers = np.array([found.index.get(text, 0) for text in labels.texts], np.int64)
    unused = first_label != "auto" and not _whole_numbers(said)[0]
    notes = found.notes + (f"the labels are names, so --first-label {first_label} says nothing",) * unused
    notes += _alike(found.classes) + (several_note(found.classes) if names is None else ())
    return Labels(numbers[rows], found.classes, found.named, names is not None, notes, found.first)


def _no_label(text: str, missing: frozenset[str]) -> str:
    if not text:
        return "the label is missing"
    if text.lower() in missing:
        return f"label {text!r} usually means that there is none: {_AS_CLASS}"
    return too_long(text) if len(text) > LONGEST_NAME else ""


def _whole_numbers(counts: Mapping[str, int]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the labels that are numbers, and a note where all of them are written as 1.0."""
    decimals = [match for text in counts if (match := _DECIMAL.fullmatch(text)) and as_number(match[1]) is not None]
    if decimals and len(decimals) == len(counts):
        return {match[0]: int(match[1]) for match in decimals}, ("labels such as 1.0 are read as the numbers 1",)
    return {text: number for text in counts if (number := as_number(text)) is not None}, ()


def _runs(numbers: list[int]) -> bool:
    """Tell whether sorted numbers count from 0 or 1 without large gaps: more than half of them occur."""
    return bool(numbers) and numbers[0] in (0, 1) and 2 * len(numbers) > numbers[-1] - numbers[0] + 1


# Without a class file.


def _alone(counts: Mapping[str, int], first_label: str, wrong: dict[str, str]) -> _Reading:
    """Return the classes that occur: bare numbers where they count from 0 or 1, else names."""
    values, notes = _whole_numbers(counts)
    if first_label != "auto" and values:
        first = int(first_label)
        for text in counts:
            if text not in values:
                wrong[text] = f"label {text!r} is not a whole number, as --first-label {first} says"
            elif values[text] < first:
                wrong[text] = f"label {text} is out of range: labels are whole numbers from {first}"
        kept = {text: value for text, value in values.items() if value >= first}
        return replace(_bare(kept), notes=notes, first=first)
    doubted = _doubted(counts, values)
    wrong |= doubted
    values = {text: value for text, value in values.items() if text not in doubted}
    others = sorted(text for text in counts if text not in values and text not in doubted)
    if not others and (_runs(ordered := sorted(set(values.values()))) or not values):
        return replace(_bare(values), notes=notes + _of_bare(ordered))
    if not others:
        gaps = f"the labels are numbers with gaps ({ordered[0]} to {ordered[-1]}): they are taken as names"
        return replace(_bare(values), named=True, notes=(*notes, gaps))
    if values:
        notes += (f"some labels are numbers, some are not ({_some(others)}): all are taken as names",)
    classes = tuple(sorted([*values, *others]))
    return _Reading({name: number for number, name in enumerate(classes)}, classes, named=True, notes=notes)


def _bare(values: Mapping[str, int]) -> _Reading:
    """Return the classes of numbers, in their order; those that do not occur are no classes."""
    ordered = sorted(set(values.values()))
    place = {value: number for number, value in enumerate(ordered)}
    return _Reading({text: place[value] for text, value in values.items()}, tuple(map(str, ordered)), named=False)


def _of_bare(ordered: list[int]) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    if ordered and ordered[0] == 1:
        notes += (f"labels count from 1 (to {ordered[-1]})",)
    if ordered and (gaps := sorted({*range(ordered[0], ordered[-1])} - {*ordered})):
        notes += (f"no label is {_some(list(map(str, gaps)))}: the classes are the {len(ordered)} numbers that occur",)
    return notes


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:3]) + (", ..." if len(texts) > 3 else "")


def _doubted(counts: Mapping[str, int], values: Mapping[str, int]) -> dict[str, str]:
    """Return the labels that fit badly to those that count from 0 or 1: marks for "none", slips of the pen."""
    rest = sorted({value for value in values.values() if value >= 0})
    found = {}
    if len(rest) > 2 and not _runs(rest) and _runs(rest[:-1]) and rest[-1] > FAR * (rest[-2] + 1):
        far = rest.pop()
        found[far] = f"label {far} lies far from the others ({rest[0]} to {rest[-1]}): {_AS_CLASS}"
    if [value for value in values.values() if value < 0] == [-1] and _runs(rest) and rest != [1]:
        found[-1] = f"label -1 often marks an image without a label: {_AS_CLASS}"
    reasons = {text: found[value] for text, value in values.items() if value in found}
    others = {text for text in counts if text not in values}
    few = 10 * sum(counts[text] for text in others) < sum(counts.values())
    for text in others:
        decimal = _DECIMAL.fullmatch(text)
        if decimal and decimal[1] in values:
            reasons[text] = f"labels {text} and {decimal[1]} are the same number, written in two ways"
        elif few and _runs(rest) and any(letter.isdigit() for letter in text):
            reasons[text] = f"label {text!r} is not a whole number, as most labels are: {_AS_CLASS}"
    return reasons


# With a class file.


def _by_class_file(counts: Mapping[str, int], names: ClassNames, first_label: str, wrong: dict[str, str]) -> _Reading:
    """Return the classes of a class file, found by their names or by their numbers."""
    values, notes = _whole_numbers(counts)
    names = _without_heading(names, counts, sorted(set(values.values())))
    index = {name: number for number, name in enumerate(names.names)}
    inside = sum(count for text, count in counts.items() if text in index)
    outside = sum(counts[text] for text in values if text not in index)
    if not values or (first_label == "auto" and inside >= max(1, outside)):
        if len(values) == len(counts) == len(set(counts) & index.keys()):
            _refuse_both(names, index, values)
        return _by_name(counts, names, index, wrong)
    first, more = _first_number(values, names, first_label)
    table = {number: place for place, number in enumerate(_numbers_of(names, first, first_label))}
    for text in counts:
        if text not in values:
            wrong[text] = f"label {text!r} is no number; the labels are read as numbers of {names.source.name}"
        elif values[text] not in table:
            wrong[text] = f"label {text} is out of range: {_range(names, table)}"
    places = {text: table.get(value, 0) for text, value in values.items()}
    return _Reading(places, names.names, named=True, notes=names.notes + notes + more)


def _by_name(counts: Mapping[str, int], names: ClassNames, index: dict[str, int], wrong: dict[str, str]) -> _Reading:
    for text in counts:
        if text not in index:
            near = suggest(text, names.names) if len(wrong) < SUGGESTED else ""
            wrong[text] = f"{names.source.name} names no class {text!r}.{near}"
    return _Reading(index, names.names, named=True, notes=names.notes)


def _without_heading(names: ClassNames, counts: Mapping[str, int], numbers: list[int]) -> ClassNames:
    """Return the names with or without the first line that may be a heading: as the labels need it."""
    if not names.heading:
        return names
    size = len(names.names)
    if names.heading in counts or (numbers[:1] == [0] and numbers[-1] == size):
        return ClassNames(names.source, (names.heading, *names.names), None, "", names.notes)
    if set(counts) <= set(names.names) or numbers in (list(range(size)), list(range(1, size + 1))):
        note = f"{names.source.name}: its first line is a heading: {names.heading}"
        return replace(names, heading="", notes=(*names.notes, note))
    raise DataError(
        f"{names.source}:1: is {names.heading!r} a heading or a class? If a heading, delete the line; "
        f"if a class, number the lines (0 {names.heading})."
    )


def _refuse_both(names: ClassNames, index: Mapping[str, int], values: Mapping[str, int]) -> None:
    """Raise `DataError` where labels are names of classes and numbers of others."""
    table = dict(zip(names.numbers or range(len(names.names)), names.names, strict=True))
    if all(value in table for value in values.values()):
        for text, value in values.items():
            if index[text] != index[table[value]]:
                raise DataError(
                    f"{names.source}: label {text} may be the class of this name, or the number of {table[value]!r}. "
                    "If labels are numbers, pass --first-label 0 (or 1); if they are names, give each name's number "
                    f"in the file ({text} {text})."
                )


def _first_number(values: Mapping[str, int], names: ClassNames, asked: str) -> tuple[int, tuple[str, ...]]:
    """Return the number of the first class, and the note that says so where it is 1. Raises `DataError` in doubt."""
    if asked != "auto":
        return int(asked), ()
    if names.numbers is not None:
        note = f"labels count from 1, as {names.source.name} does"
        return names.numbers[0], (note,) * (names.numbers[0] == 1)
    low, high, size = min(values.values()), max(values.values()), len(names.names)
    if low == 1 and high == size:
        return 1, (f"labels count from 1 (to {size})",)
    if low > 0 and high < size:
        raise DataError(
            f"{names.source}: no label is 0, and the names have no numbers: do labels count from 0 or from 1? "
            f"Pass --first-label 0 or 1, or number the lines (0 {names.names[0]})."
        )
    return 0, ()


def _numbers_of(names: ClassNames, first: int, asked: str) -> tuple[int, ...]:
    """Return the number of each name; an asked first number shifts those of the file, where they have no gaps."""
    counted = tuple(range(first, first + len(names.names)))
    if names.numbers is None or names.numbers == counted:
        return counted
    if asked != "auto" and names.numbers[-1] - names.numbers[0] >= len(names.names):
        raise DataError(f"{names.source}: gives its classes numbers with gaps, so --first-label {asked} says nothing.")
    return counted if asked != "auto" else names.numbers


def _range(names: ClassNames, table: Mapping[int, int]) -> str:
    low, high = min(table), max(table)
    gaps = ", with gaps" if high - low >= len(table) else ""
    return f"{names.source.name} names {len(table)} classes ({low} to {high}{gaps})"


def _alike(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return a note on class names that differ only in what is hardly seen: case, space, zeros, the Unicode form."""
    seen: dict[str, str] = {}
    for name in classes:
        plain = "".join(visible(unicodedata.normalize("NFKC", name)).casefold().split())
        other = seen.setdefault(re.sub(r"(?<![\d.])0+(?=\d)", "", plain), name)
        if other != name and len({visible(unicodedata.normalize("NFC", text)) for text in (name, other)}) == 1:
            return (f"two classes look alike and are kept apart: {other!a} and {name!a}",)
        if other != name:
            return (f"the classes {other!r} and {name!r} differ only in case, spaces or zeros, and are kept apart",)
    return ()


def without_images(source: str, classes: tuple[str, ...], labels: NDArray[np.int64]) -> tuple[str, ...]:
    """Return a note on the classes that no label is of."""
    present = np.bincount(labels, minlength=len(classes)) > 0
    absent = [name for name, there in zip(classes, present, strict=True) if not there]
    named = ", ".join(absent[:10]) + ", ..." * (len(absent) > 10)
    return (f"{source} has no image of {len(absent)} of {len(classes)} classes: {named}",) if absent else ()


def visible(name: str) -> str:
    """Return a name without the letters that have no width, such as U+200B and U+FEFF."""
    return "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
