"""The text of a list file -> its columns: which separator, which column is the path, the label, the split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyas.data.cells import UnclosedQuoteError, blocks_of, cut_lines, read_cells
from eyas.data.packed import Coded, Coding, PackedStrings, Packing
from eyas.data.shape import (
    LABEL_NAMES,
    PATH_NAMES,
    Exists,
    Shape,
    find_shape,
    is_image,
    is_number,
    path_columns,
    plain_words,
)
from eyas.errors import DataError, suggest

SAMPLE = 1000  # rows that the layout is found from; all rows are then read by it
HEAD = 1 << 16  # bytes that are read at a time to find it
SPLIT_NAMES = frozenset(("split", "set", "subset", "partition", "dataset"))
SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Table:
    """A list file's columns, row by row; `labels` is None where no column holds them, `lines` are int32 [N]."""

    paths: PackedStrings
    labels: Coded | None
    lines: NDArray[np.int32]
    splits: Coded | None = None
    notes: tuple[str, ...] = ()
    problems: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Layout:
    """How a list is laid out: its shape, the line of its header (0: none), the column of each thing it holds."""

    shape: Shape
    header: int
    columns: dict[str, int | None]

    def held(self) -> list[str]:
        """Return what a column holds: "path", "label", "split"."""
        return [name for name in ("path", "label", "split") if self.columns.get(name) is not None]


def find_layout(data: bytes, source: Path, *, columns: str | None, exists: Exists) -> Layout:
    """Return the layout of a list file, found from its first lines; `exists` tells whether a path is there.

    Raises `DataError` where the columns cannot be told apart with certainty; it says to pass `--columns`.
    """
    sample = list(islice(chain.from_iterable(block.content()[1] for block in blocks_of(data, HEAD)), SAMPLE))
    if not sample:
        raise DataError(f"{source}: the list is empty. It needs a line per image: its path, then its label.")
    asked = _parse_columns(columns) if columns else {}
    shape = find_shape(sample, asked, exists, quoted=b'"' in data)
    if shape is None:
        raise DataError(
            f"{source}: no column was found that holds paths of images. "
            "Say which is which with --columns path=0,label=1 (numbers from 0, or the header's names)."
        )
    rows = _rows(data, shape, source)
    first, *second = islice(rows, 2)
    header = _header(first[1], [row for _, row in second])
    every = chain([] if header else [first], second, rows)
    cells = list(islice((row for _, row in every if len(row) == shape.count), SAMPLE))
    picks = _choose(cells, header, asked, source, exists) if cells else {}
    return Layout(shape, first[0] if header else 0, picks)


def read_table(data: bytes, source: Path, *, columns: str | None, exists: Exists) -> Table:
    """Return the columns of a list file, `data` (UTF-8, lines ended by newlines); raises `DataError`."""
    return _read(data, source, find_layout(data, source, columns=columns, exists=exists))


def split_names(data: bytes, source: Path, *, columns: str | None, exists: Exists) -> tuple[str, ...]:
    """Return the splits that a list's own column names, sorted; none where it has no such column."""
    layout = find_layout(data, source, columns=columns, exists=exists)
    if layout.columns.get("split") is None:
        return ()
    splits = _read(data, source, layout).splits
    return tuple(sorted({SPLIT_WORDS.get(word.lower(), word.lower()) for word in splits.texts} if splits else ()))


def _read(data: bytes, source: Path, layout: Layout) -> Table:
    paths, codings = Packing(), {name: Coding() for name in layout.held()}
    held = [layout.columns[name] or 0 for name in codings]
    lines, problems, comments = [np.zeros(0, np.int32)], [], 0
    for block in blocks_of(data):
        with _quotes_closed(source):
            cells = read_cells(block, layout.shape, held, after=layout.header)
        for (name, coding), spans in zip(codings.items(), cells.columns, strict=True):
            if name == "path":
                paths.add(spans.joined(), spans.ends - spans.starts)
            else:
                coding.add(spans)
        lines.append(cells.lines)
        problems += [(line, _wrong_width(row, layout.shape.count)) for line, row in cells.wrong]
        comments += block.comments()
    labels, splits = (codings[name].done() if name in codings else None for name in ("label", "split"))
    notes: tuple[str, ...] = ()
    if comments:
        notes += (f"{comments} comment line{'s' * (comments > 1)} (starting with #) left out",)
    if layout.columns and labels is None:
        notes += ("no column holds labels: the name of each image's folder is its class",)
    return Table(paths.done(), labels, np.concatenate(lines), splits, notes, problems)


def _rows(data: bytes, shape: Shape, source: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each line that says something, after its number."""
    for block in blocks_of(data, HEAD):
        with _quotes_closed(source):
            rows = cut_lines(block, shape)
        yield from rows


@contextmanager
def _quotes_closed(source: Path) -> Iterator[None]:
    try:
        yield
    except UnclosedQuoteError as error:
        raise DataError(f"{source}:{error}: a quotation mark is opened and not closed on this line.") from None


def _wrong_width(row: list[str], width: int) -> str:
    if len(row) < 2 <= width:
        return f"the label is missing: {' '.join(row).strip()!r}"
    return f"{len(row)} columns, where the other lines have {width}"


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
