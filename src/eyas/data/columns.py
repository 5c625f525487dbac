"""The text of a list file -> its columns: which separator, which column is the path, the label, the split."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eyas.data.shape import (
    LABEL_NAMES,
    PATH_NAMES,
    Exists,
    find_shape,
    is_image,
    is_number,
    path_columns,
    plain_words,
)
from eyas.errors import DataError, suggest

SAMPLE = 1000  # rows that the layout is found from; all rows are then read by it
SPLIT_NAMES = frozenset(("split", "set", "subset", "partition", "dataset"))
SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A list file's columns as text, row by row; `labels` is None where no column holds them."""

    paths: list[str]
    labels: list[str] | None
    lines: list[int]
    splits: list[str] | None = None
    notes: tuple[str, ...] = ()
    problems: list[tuple[int, str]] = field(default_factory=list)


def read_table(text: str, source: Path, *, columns: str | None, exists: Exists) -> Table:
    """Return the columns of a list file's `text`; `exists` tells whether a path is there.

    Raises `DataError` where the columns cannot be told apart with certainty; it says to pass `--columns`.
    """
    lines, numbers, notes = _content(text)
    if not lines:
        raise DataError(f"{source}: the list is empty. It needs a line per image: its path, then its label.")
    asked = _parse_columns(columns) if columns else {}
    shape = find_shape(text, lines[:SAMPLE], asked, exists)
    if shape is None:
        raise DataError(
            f"{source}: no column was found that holds paths of images. "
            "Say which is which with --columns path=0,label=1 (numbers from 0, or the header's names)."
        )
    rows = shape.cut(lines)
    if len(rows) != len(lines):
        raise DataError(_unclosed_quote(lines, numbers, shape.separator, source))
    problems: list[tuple[int, str]] = []
    header = _header(rows[0], rows[1:2])
    if header is not None:
        rows, numbers = rows[1:], numbers[1:]
    width = shape.count
    if any(len(row) != width for row in rows):
        for number, row in zip(numbers, rows, strict=True):
            if len(row) != width:
                problems.append((number, _wrong_width(row, width)))
        kept = [(number, row) for number, row in zip(numbers, rows, strict=True) if len(row) == width]
        numbers, rows = [number for number, _ in kept], [row for _, row in kept]
    if not rows:
        return Table([], None, [], notes=notes, problems=problems)
    picks = _choose(rows[:SAMPLE], header, asked, source, exists)
    if picks["label"] is None:
        notes += ("no column holds labels: the name of each image's folder is its class",)
    return Table(
        paths=_column(rows, picks["path"]) or [],
        labels=_column(rows, picks["label"]),
        splits=_column(rows, picks["split"]),
        lines=numbers,
        notes=notes,
        problems=problems,
    )


def _content(text: str) -> tuple[list[str], list[int], tuple[str, ...]]:
    """Return the lines that say something, their numbers from 1, and a note on comment lines."""
    everything = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    numbered = enumerate(everything, 1)
    kept = [(number, line) for number, line in numbered if line and not line.isspace() and line[0] != "#"]
    comments = sum(line[:1] == "#" for line in everything)
    notes = (f"{comments} comment line{'s' * (comments > 1)} (starting with #) left out",) if comments else ()
    return [line for _, line in kept], [number for number, _ in kept], notes


def _column(rows: list[list[str]], index: int | None) -> list[str] | None:
    return None if index is None else [row[index].strip() for row in rows]


def _wrong_width(row: list[str], width: int) -> str:
    if len(row) < 2 <= width:
        return f"the label is missing: {' '.join(row).strip()!r}"
    return f"{len(row)} columns, where the other lines have {width}"


def _unclosed_quote(lines: list[str], numbers: list[int], separator: str, source: Path) -> str:
    read = 0
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    for _ in reader:
        if reader.line_num != read + 1:
            break
        read = reader.line_num
    number = numbers[min(read, len(numbers) - 1)]
    return f"{source}:{number}: a quotation mark is opened and not closed on this line."


def _parse_columns(columns: str) -> dict[str, str]:
    """Read `path=0,label=2`: keys path, label and split; values numbers from 0 or header names."""
    asked = {}
    for part in columns.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in ("path", "label", "split") or not value:
            raise DataError(f"--columns {columns}: write it as path=0,label=2 or path=filename,label=class.")
        asked[key] = value
    return asked


def _header(row: list[str], rest: list[list[str]]) -> list[str] | None:
    """Return the first row's cells as lower-case words where they are names of columns, else None."""
    words = plain_words(row)
    if any(is_image(cell) for cell in row) or not rest:
        return None
    known = sum(word in PATH_NAMES | LABEL_NAMES | SPLIT_NAMES for word in words)
    above_path = any(is_image(cell) for cell in rest[0])
    return words if len(row) > 1 and known and (above_path or known > 1) else None


def _choose(
    rows: list[list[str]], header: list[str] | None, asked: dict[str, str], source: Path, exists: Exists
) -> dict[str, int | None]:
    """Return the index of the path, label and split column; `DataError` where more than one would do."""
    picks = {key: _asked_column(key, value, header, rows, source) for key, value in asked.items()}
    if "split" not in picks:
        picks["split"] = _by_name(header, SPLIT_NAMES)
    if "path" not in picks:
        picks["path"] = _path_column(rows, header, picks, source, exists)
    if "label" not in picks:
        named = _by_name(header, LABEL_NAMES, without=picks["path"])
        picks["label"] = named if named is not None else _label_column(rows, picks, source)
    return picks


def _asked_column(key: str, value: str, header: list[str] | None, rows: list[list[str]], source: Path) -> int | None:
    if key == "label" and value == "folder":
        return None
    if value.isdigit():
        if int(value) < len(rows[0]):
            return int(value)
        raise DataError(f"{source}: --columns {key}={value}: the list has columns 0 to {len(rows[0]) - 1}.")
    names = header or []
    word = plain_words([value])[0]
    if word in names:
        return names.index(word)
    near = suggest(word, names)
    raise DataError(f"{source}: --columns {key}={value}: the list has no column of this name.{near}")


def _by_name(header: list[str] | None, names: frozenset[str], without: int | None = None) -> int | None:
    """Return the only column whose header is one of `names`; None where there is none or several."""
    found = [c for c, word in enumerate(header or []) if word in names and c != without]
    return found[0] if len(found) == 1 else None


def _path_column(
    rows: list[list[str]],
    header: list[str] | None,
    picks: dict[str, int | None],
    source: Path,
    exists: Exists,
) -> int:
    found = [c for c in path_columns(rows, exists) if c not in picks.values()]
    named = _by_name(header, PATH_NAMES)
    if len(found) == 1:
        return found[0]
    if named is not None and (not found or named in found):
        return named
    if not found and len(rows[0]) == 2:
        numbers = [all(is_number(row[c]) for row in rows) for c in (0, 1)]
        if numbers == [False, True]:
            return 0
    raise DataError(f"{source}: {_which('paths', found or range(len(rows[0])))}")


def _label_column(rows: list[list[str]], picks: dict[str, int | None], source: Path) -> int | None:
    """Return the column of the labels: the only one, the only text, or the only one that repeats."""
    left = [c for c in range(len(rows[0])) if c not in (picks["path"], picks["split"])]
    if len(left) <= 1:
        return left[0] if left else None
    texts = [c for c in left if not all(is_number(row[c]) for row in rows)]
    if len(texts) == 1 and not all(row[texts[0]].strip().lower() in SPLIT_WORDS for row in rows):
        return texts[0]
    values = {c: {row[c] for row in rows} for c in left}
    repeating = [c for c in left if len(values[c]) < len(rows)]  # an index never repeats
    if not texts and len(repeating) == 1 and len(rows) > 1:
        return repeating[0]
    raise DataError(f"{source}: {_which('labels', left)}")


def _which(what: str, columns: Sequence[int]) -> str:
    some = ", ".join(map(str, columns))
    return f"any of the columns {some} may hold the {what}. Say which, as --columns path=0,label=2 (from 0)."
