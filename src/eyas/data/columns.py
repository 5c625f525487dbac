"""The text of a list file -> its columns: which separator, which column is the path, the label, the split."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eyas.errors import DataError, suggest

IMAGE_SUFFIXES = tuple(
    ".jpg .jpeg .jpe .jfif .png .webp .bmp .dib .gif .tif .tiff .ppm .pgm .pbm .pnm .avif .mpo".split()
)
SAMPLE = 1000  # rows that the layout is found from; all rows are then read by it
PATH_NAMES = frozenset(
    "path file filename filepath image img imagepath imgpath imagefile imagename imgname name id imageid".split()
)
LABEL_NAMES = frozenset(
    "label labels class classid classname target category categoryid labelid species breed y".split()
)
SPLIT_NAMES = frozenset(("split", "set", "subset", "partition", "dataset"))
SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?$")


@dataclass(frozen=True)
class Table:
    """A list file's columns as text, row by row; `labels` is None where no column holds them."""

    paths: list[str]
    labels: list[str] | None
    lines: list[int]
    splits: list[str] | None = None
    notes: tuple[str, ...] = ()
    problems: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Shape:
    """How a line becomes cells. `before` and `after` count the columns around a path that holds the separator."""

    separator: str
    count: int
    quoted: bool = False
    before: int | None = None
    after: int | None = None

    def cut(self, lines: Sequence[str]) -> list[list[str]]:
        separator = None if self.separator == " " else self.separator
        if self.quoted:
            return list(csv.reader(lines, delimiter=self.separator, skipinitialspace=True))
        if self.after is not None:
            return [line.rsplit(separator, self.after) for line in lines]
        if self.before is not None:
            return [line.split(separator, self.before) for line in lines]
        return [line.split(separator) for line in lines]


Exists = Callable[[str], bool]


def read_table(text: str, source: Path, *, columns: str | None, exists: Exists) -> Table:
    """Return the columns of a list file's `text`; `exists` tells whether a path is there, for names without suffix.

    Raises `DataError` where the columns cannot be told apart with certainty; it says to pass `--columns`.
    """
    lines, numbers, notes = _content(text)
    if not lines:
        raise DataError(f"{source}: the list is empty. It needs one line per image: its path, then its label.")
    asked = _parse_columns(columns) if columns else {}
    shape = _find_shape(lines[:SAMPLE], source, asked, exists)
    rows = shape.cut(lines)
    problems: list[tuple[int, str]] = []
    if len(rows) != len(lines):
        raise DataError(_unclosed_quote(lines, numbers, source))
    header = _header(rows, exists)
    if header is not None:
        rows, numbers = rows[1:], numbers[1:]
        if not rows:
            raise DataError(f"{source}: the list is empty: it has a header but no line after it.")
    width = shape.count
    if any(len(row) != width for row in rows):
        for number, row in zip(numbers, rows, strict=True):
            if len(row) != width:
                problems.append((number, _wrong_width(row, width)))
        kept = [(number, row) for number, row in zip(numbers, rows, strict=True) if len(row) == width]
        numbers, rows = [number for number, _ in kept], [row for _, row in kept]
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
    kept = [
        (number, line) for number, line in enumerate(everything, 1) if line and not line.isspace() and line[0] != "#"
    ]
    comments = sum(line[:1] == "#" for line in everything)
    notes = (f"{comments} comment line{'s' * (comments > 1)} (starting with #) left out",) if comments else ()
    return [line for _, line in kept], [number for number, _ in kept], notes


def _column(rows: list[list[str]], index: int | None) -> list[str] | None:
    return None if index is None else [row[index].strip() for row in rows]


def _wrong_width(row: list[str], width: int) -> str:
    if len(row) < 2 <= width:
        return f"the label is missing: {' '.join(row).strip()!r}"
    return f"{len(row)} columns, where the other lines have {width}"


def _unclosed_quote(lines: list[str], numbers: list[int], source: Path) -> str:
    reader = csv.reader(lines)
    read = 0
    for _ in reader:
        if reader.line_num != read + 1:
            break
        read = reader.line_num
    return f"{source}:{numbers[min(read, len(numbers) - 1)]}: a quotation mark is not closed on this line."


def _parse_columns(columns: str) -> dict[str, str]:
    """Read `path=0,label=2`; the keys are path, label and split, the values numbers from 0 or header names."""
    asked = {}
    for part in columns.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in ("path", "label", "split") or not value:
            raise DataError(f"--columns {columns}: write it as path=0,label=2 or path=filename,label=class.")
        asked[key] = value
    return asked


def is_image(name: str) -> bool:
    """Tell whether a file name ends like an image's."""
    return name.rstrip().lower().endswith(IMAGE_SUFFIXES)


def _find_shape(sample: list[str], source: Path, asked: dict[str, str], exists: Exists) -> _Shape:
    """Return the first way of cutting that leaves a whole path in one column of every line."""
    body = sample[1:] or sample  # the first line may be a header
    fallback = None
    for separator in "\t;, ":
        if separator != " " and not all(separator in line for line in body):
            continue
        quoted = separator != " " and (source.suffix.lower() in (".csv", ".tsv") or any('"' in line for line in body))
        shape = _fixed_shape(_Shape(separator, 0, quoted), body)
        if shape is not None and (asked or _path_columns(shape.cut(body), exists)):
            return shape if separator != " " else _spaced_shape(body, asked, exists) or shape
        flexible = _spaced_shape(body, asked, exists, separator)
        if flexible is not None and not quoted:
            return flexible
        if fallback is None and shape is not None and shape.count == 2 and _one_number(shape.cut(body)):
            fallback = shape
    if fallback is not None:
        return fallback
    if _path_columns([[line] for line in body], exists) == [0]:
        return _Shape(" ", 1, after=0)
    raise DataError(
        f"{source}: no column was found that holds paths of images. "
        "Say which is which with --columns path=0,label=1 (numbers from 0, or the header's names)."
    )


def _fixed_shape(shape: _Shape, body: list[str]) -> _Shape | None:
    """Return `shape` with the number of columns that nearly all lines have, or None where they differ."""
    counts = [len(row) for row in shape.cut(body)]
    usual = max(set(counts), key=counts.count)
    if usual < 2 or counts.count(usual) < max(1, 0.9 * len(body)):
        return None
    return _Shape(shape.separator, usual, shape.quoted)


def _spaced_shape(body: list[str], asked: dict[str, str], exists: Exists, separator: str = " ") -> _Shape | None:
    """Return how to cut lines whose paths may hold the separator: by the number of columns after or before them."""
    cut = _Shape(separator, 0).cut(body)
    if asked:
        last = min(len(row) for row in cut)
        return _Shape(separator, last, after=last - 1) if last > 1 and asked.get("path") in (None, "0") else None
    after = {_cells_after_path(row) for row in cut} - {None}
    usual = max(after, key=[_cells_after_path(row) for row in cut].count) if after else None
    if usual == 0:
        return _label_first(cut, separator)
    if len(after) > 1 and separator == " " and _word_labels(cut):
        return _Shape(" ", 2, before=None, after=None) if False else _TextLabel(" ", 2)
    if usual is None:
        plain = _Shape(separator, 2, after=1)
        return plain if _one_number(plain.cut(body)) else None
    shape = _Shape(separator, usual + 1, after=usual)
    return shape if 0 in _path_columns(shape.cut(body), exists) else None
