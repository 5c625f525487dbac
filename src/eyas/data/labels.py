"""Labels as a list writes them -> numbers of classes; the file of class names."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyas.data.packed import Coded
from eyas.data.paths import Problems
from eyas.data.reading import read_file
from eyas.errors import DataError, suggest

LARGEST = 1_000_000  # a label beyond it is an identifier, not the number of a class
LONGEST_NAME = 1000  # letters of a class name
LARGEST_NAMES = 1 << 26  # bytes of a file of class names
SUGGESTED = 10  # unknown names that get the nearest ones told: no report shows more, and to look for them takes long
_NUMBERED = re.compile(r"(\d{1,18})[\s,;:]+(\S.*)$")
_NUMBERED_AFTER = re.compile(r"(\S.*?)[\s,;:]+(\d{1,18})$")
_WHOLE = re.compile(r"[+-]?\d{1,4000}(\.0*)?$")  # Python reads no more digits as a number


@dataclass(frozen=True)
class ClassNames:
    """The names that a class file gives; `first` is the number that it gives its first name, if any."""

    source: Path
    names: tuple[str, ...]
    first: int | None = None


@dataclass(frozen=True)
class Labels:
    """What the labels mean: `numbers` int64 [N] index into `classes`; `named` is False for bare numbers."""

    numbers: np.ndarray
    classes: tuple[str, ...]
    named: bool
    ordered: bool
    notes: tuple[str, ...]


def read_class_names(path: Path) -> ClassNames:
    """Read a file with one class name per line, or `0 tench, Tinca tinca`: a number, then a name.

    Raises `DataError` naming the line for empty files, names given twice and text that is not UTF-8.
    """
    try:
        text = read_file(path, LARGEST_NAMES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: the class names are not UTF-8 text. Save the file again as UTF-8.") from None
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise DataError(f"{path}: names no class. It needs one name per line.")
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LONGEST_NAME:
            raise DataError(f"{path}:{number}: {_too_long(line)}")
    first, names = _without_numbers(names)
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{path}: the class {twice!r} is named twice.")
    return ClassNames(path, tuple(names), first)


def _too_long(name: str) -> str:
    return f"the class name has {len(name):,} letters; it may have {LONGEST_NAME:,}"


def _without_numbers(lines: list[str]) -> tuple[int | None, list[str]]:
    """Return the first number and the names in the numbers' order, if every line has a number."""
    for pattern, number, name in ((_NUMBERED, 1, 2), (_NUMBERED_AFTER, 2, 1)):
        found = [pattern.match(line) for line in lines]
        pairs = [(int(match[number]), match[name]) for match in found if match]
        numbers = sorted(pair[0] for pair in pairs)
        if len(pairs) == len(lines) and numbers[0] <= 1 and numbers == [*range(numbers[0], numbers[0] + len(lines))]:
            return numbers[0], [text for _, text in sorted(pairs)]
    return None, lines


def read_labels(
    labels: Coded, lines: NDArray[np.int32], names: ClassNames | None, first_label: str, problems: Problems
) -> Labels:
    """Return what a list's labels mean; a label without meaning is added to `problems` with its line.

    Names are matched exactly. Numbers count from 0, or from 1 where `first_label` or the numbers say so.
    """
    unique, rows = labels.texts, labels.codes
    counts = np.bincount(rows, minlength=len(unique))
    wrong: dict[int, str] = {}
    numeric = [_is_float(text) for text in unique]
    if names is not None and set(unique) <= set(names.names):
        found = _by_name(unique, names, wrong)
    elif all(numeric) or (names is None and counts[np.array(numeric)].sum() > 0.9 * len(rows)):
        found = _by_number(unique, names, first_label, wrong)
    else:
        found = _by_name(unique, names, wrong)
    for row in np.flatnonzero(np.isin(rows, list(wrong))).tolist() if wrong else ():
        problems.append((int(lines[row]), wrong[int(rows[row])]))
    return Labels(found.numbers[rows], found.classes, found.named, found.ordered, found.notes)


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _by_name(unique: list[str], names: ClassNames | None, wrong: dict[int, str]) -> Labels:
    classes = names.names if names else tuple(sorted(text for text in unique if text))
    index = {name: number for number, name in enumerate(classes)}
    for code, text in enumerate(unique):
        if not text:
            wrong[code] = "the label is missing"
        elif len(text) > LONGEST_NAME:
            wrong[code] = _too_long(text)
        elif text not in index and names is not None:
            near = suggest(text, classes) if len(wrong) < SUGGESTED else ""
            wrong[code] = f"{names.source.name} names no class {text!r}.{near}"
    numbers = np.array([index.get(text, 0) for text in unique], np.int64)
    return Labels(numbers, classes, True, names is not None, _alike(classes))


def _alike(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return a note on class names that differ only in case, space or Unicode form."""
    seen: dict[str, str] = {}
    for name in classes:
        other = seen.setdefault("".join(unicodedata.normalize("NFKC", name).casefold().split()), name)
        if other != name and unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other):
            return (f"two classes look alike and are kept apart: {other!a} and {name!a}",)
        if other != name:
            return (f"the classes {other!r} and {name!r} differ only in case or spaces, and are kept apart",)
    return ()


def _by_number(unique: list[str], names: ClassNames | None, first_label: str, wrong: dict[int, str]) -> Labels:
    values: dict[int, int] = {}
    for code, text in enumerate(unique):
        if _WHOLE.match(text):
            values[code] = int(text.partition(".")[0])
        elif not text:
            wrong[code] = "the label is missing"
        else:
            wrong[code] = f"label {text!r} is not a whole number, as the other labels are"
    good = [value for value in values.values() if value >= 0]
    first, notes = _first_number(good, names, first_label)
    classes = names.names if names else _bare_classes(good, first)
    last = first + len(classes) - 1 if names else LARGEST
    numbers = np.zeros(len(unique), np.int64)
    for code, value in values.items():
        if first <= value <= last:
            numbers[code] = value - first
        else:
            wrong[code] = f"label {unique[code]} is out of range: {_range(names, first, last)}"
    if names is None and not wrong and len(set(good)) < 0.5 * len(classes):
        notes += (f"labels run up to {max(good)}, but only {len(set(good))} different ones occur",)
    return Labels(numbers, classes, names is not None, names is not None, notes)


def _bare_classes(good: list[int], first: int) -> tuple[str, ...]:
    last = max((value for value in good if value <= LARGEST), default=first)
    return tuple(map(str, range(first, last + 1)))


def _range(names: ClassNames | None, first: int, last: int) -> str:
    if names is None:
        return f"labels are whole numbers from {first}"
    return f"{names.source.name} names {len(names.names)} classes ({first} to {last})"


def _first_number(good: list[int], names: ClassNames | None, asked: str) -> tuple[int, tuple[str, ...]]:
    """Return the number of the first class, and the note that says so where it is 1 or in doubt."""
    if asked != "auto":
        return int(asked), ()
    if names is not None and names.first is not None:
        return names.first, (f"labels count from {names.first}, as {names.source.name} does",) * (names.first != 0)
    if not good or min(good) != 1:
        return 0, ()
    size = len(names.names) if names else len(set(good))
    if max(good) == size:
        return 1, (f"labels count from 1 (to {size})",)
    return 0, ("no label is 0, but labels are taken to count from 0; if they count from 1, pass --first-label 1",)
