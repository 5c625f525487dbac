"""The text of a list file -> its columns, packed: the paths, the labels, the splits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyas.data.cells import Cells, blocks_of, read_cells
from eyas.data.layout import SPLIT_WORDS, Layout, find_layout, quotes_closed
from eyas.data.packed import Coded, Coding, PackedStrings, Packing
from eyas.data.shape import Exists


@dataclass(frozen=True, eq=False)
class Table:
    """A list file's columns, row by row; `labels` is None where no column holds them, `lines` are int32 [N]."""

    paths: PackedStrings
    labels: Coded | None
    lines: NDArray[np.int32]
    splits: Coded | None = None
    notes: tuple[str, ...] = ()
    problems: list[tuple[int, str]] = field(default_factory=list)


def read_table(data: bytes, source: Path, *, columns: str | None, exists: Exists, labels: bool = True) -> Table:
    """Return the columns of a list file, `data` (UTF-8, lines ended by newlines); raises `DataError`.

    With `labels=False` only the paths: neither labels nor splits are looked for, and a line may lack its other cells.
    """
    layout = find_layout(data, source, columns=columns, exists=exists, labels=labels)
    return _read(data, source, layout, short=not labels)


def split_names(data: bytes, source: Path, *, columns: str | None, exists: Exists) -> tuple[str, ...]:
    """Return the splits that a list's own column names, sorted; none where it has no such column."""
    layout = find_layout(data, source, columns=columns, exists=exists)
    if layout.columns.get("split") is None:
        return ()
    splits = _read(data, source, layout).splits
    return tuple(sorted({SPLIT_WORDS.get(word.lower(), word.lower()) for word in splits.texts} if splits else ()))


def _read(data: bytes, source: Path, layout: Layout, *, short: bool = False) -> Table:
    """Read the columns that a layout names; with `short` lines are read too that have a path and lack other cells."""
    paths, codings = Packing(), {name: Coding() for name in layout.held()}
    held = [layout.columns[name] or 0 for name in codings]
    lines, problems, comments = [np.zeros(0, np.int32)], [], 0
    for block in blocks_of(data):
        with quotes_closed(source):
            cells = read_cells(block, layout.shape, held, after=layout.header)
        if short and cells.wrong:
            cells = _with_short(cells, held[0], layout.shape.count)
        for (name, coding), spans in zip(codings.items(), cells.columns, strict=True):
            if name == "path":
                paths.add(spans.joined(), spans.ends - spans.starts)
            else:
                coding.add(spans)
        lines.append(cells.lines)
        problems += [(line, _wrong_width(row, layout.shape.count)) for line, row in cells.wrong]
        comments += block.comments()
    labels, splits = (codings[name].done() if name in codings else None for name in ("label", "split"))
    notes = layout.notes
    if comments:
        notes += (f"{comments} comment line{'s' * (comments > 1)} (starting with #) left out",)
    return Table(paths.done(), labels, np.concatenate(lines), splits, notes, problems)


def _with_short(cells: Cells, path: int, count: int) -> Cells:
    """Return the cells with those lines among them that have a cell in column `path`, though less than `count`."""
    found = [(line, row[path].strip()) for line, row in cells.wrong if path < len(row) < count]
    lines = np.concatenate([cells.lines, np.array([line for line, _ in found], np.int32)])
    order = np.argsort(lines, kind="stable")
    joined = PackedStrings.of([*cells.columns[0].strings(), *(text for _, text in found)])
    wrong = [(line, row) for line, row in cells.wrong if not path < len(row) < count]
    return Cells([joined.spans().take(order)], lines[order], wrong)


def _wrong_width(row: list[str], width: int) -> str:
    if len(row) < 2 <= width:
        return f"the label is missing: {' '.join(row).strip()!r}"
    return f"{len(row)} columns, where the other lines have {width}"
