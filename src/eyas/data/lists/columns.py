"""The text of a list file -> its columns, packed: the paths, the labels, the splits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyas.data.images.packed import Coded, Coding, PackedStrings, Packing
from eyas.data.lists.cells import Cells, blocks_of, read_cells
from eyas.data.lists.layout import Layout, find_layout, quotes_closed
from eyas.data.lists.one_hot import read_hot
from eyas.data.lists.roles import KEY
from eyas.data.lists.shape import Exists
from eyas.data.lists.splits import SPLITS, flag_of, kind_of, meanings, of_flags
from eyas.errors import DataError


@dataclass(frozen=True, eq=False)
class Table:
    """A list file's columns, row by row; `labels` is None where no column holds them, `lines` are int32 [N].

    `key` says what is wrong where the labels are no classes, unless a file of class names has them.
    """

    paths: PackedStrings
    labels: Coded | None
    lines: NDArray[np.int32]
    splits: Coded | None = None
    notes: tuple[str, ...] = ()
    problems: list[tuple[int, str]] = field(default_factory=list)
    key: str = ""


def read_table(data: bytes, source: Path, *, columns: str | None, exists: Exists, labels: bool = True) -> Table:
    """Return the columns of a list file, `data` (UTF-8, lines ended by newlines); raises `DataError`.

    With `labels=False` only the paths: neither labels nor splits are looked for, and a line may lack its other cells.
    """
    layout = find_layout(data, source, columns=columns, exists=exists, labels=labels)
    return _read(data, source, layout, short=not labels)


def split_names(data: bytes, source: Path, *, columns: str | None, exists: Exists) -> tuple[str, ...]:
    """Return the splits that a list's own column names, sorted; none where it has no such column."""
    layout = find_layout(data, source, columns=columns, exists=exists)
    if not layout.splits:
        return ()
    codings = [Coding() for _ in layout.splits]
    for block in blocks_of(data):
        with quotes_closed(source):
            cells = read_cells(block, layout.shape, layout.splits, after=layout.header).columns
        for coding, spans in zip(codings, cells, strict=True):
            coding.add(spans)
    return tuple(sorted(set(_splits([coding.done() for coding in codings], layout).texts)))


def _read(data: bytes, source: Path, layout: Layout, *, short: bool = False) -> Table:
    """Read the columns that a layout names; with `short` lines are read too that have a path and lack other cells."""
    paths, codings = Packing(), {name: Coding() for name in layout.held()}
    hot, parts = [Coding() for _ in layout.hot], [Coding() for _ in layout.splits]
    held = [layout.columns[name] or 0 for name in codings] + [*layout.hot, *layout.splits]
    lines, problems, comments = [np.zeros(0, np.int32)], [], 0
    for block in blocks_of(data):
        with quotes_closed(source):
            cells = read_cells(block, layout.shape, held, after=layout.header)
        if short and cells.wrong:
            cells = _with_short(cells, held[0], layout.shape.count)
        if codings:
            paths.add(cells.columns[0].joined(), cells.columns[0].ends - cells.columns[0].starts)
        for coding, spans in zip([*codings.values(), *hot, *parts][1:], cells.columns[1:], strict=True):
            coding.add(spans)
        lines.append(cells.lines)
        problems += [(line, _wrong_width(row, layout.shape.count)) for line, row in cells.wrong]
        comments += block.comments()
    labels = codings["label"].done() if "label" in codings else None
    numbers, notes = np.concatenate(lines), layout.notes
    if hot:
        labels, more = read_hot([coding.done() for coding in hot], layout, numbers, problems)
        notes += more
    key = _key(labels, layout) if labels is not None and not hot else ""
    if comments:
        notes += (f"{comments} comment line{'s' * (comments > 1)} (starting with #) left out",)
    splits = _splits([coding.done() for coding in parts], layout) if parts else None
    return Table(paths.done(), labels, numbers, splits, notes, problems, key)


def _splits(found: list[Coded], layout: Layout) -> Coded:
    """Return the splits that a column's words name, or several columns' marks.

    Raises `DataError` where one names none, unless the columns were chosen.
    """
    sample, columns = layout.sample, layout.splits
    titles = [sample.title(column) or str(column) for column in columns]
    if len(columns) > 1:
        marks = [flag_of(title, column.texts) for title, column in zip(titles, found, strict=True)]
        if not all(marks):
            raise DataError(f"{sample.source}: not all cells of the columns {', '.join(titles)} are yes or no (1, 0).")
        coded = of_flags(marks, found)
    else:
        words = meanings(sample.title(columns[0]), found[0].texts)
        coded = Coded(found[0].codes, [words[text] for text in found[0].texts])
    other = sorted(set(coded.texts) - set(SPLITS))
    if other and "split" not in layout.asked:
        several = len(columns) > 1
        raise DataError(
            f"{sample.source}: the column{'s' * several} {', '.join(titles)} name{'s' * (not several)} the split, but "
            f"also sa{'y' if several else 'ys'} {', '.join(map(repr, other[:3]))}. "
            f"{sample.flag(split=columns)} leaves those lines out, --columns split=none reads all lines."
        )
    return coded


def _key(labels: Coded, layout: Layout) -> str:
    """Return what is wrong where each line has another label, a key, or a split's number; unless the user says else."""
    sample, column, path = layout.sample, layout.columns["label"] or 0, layout.columns["path"] or 0
    if "label" not in layout.asked and not layout.names and _like_splits(sample.source, labels):
        return (
            f"its only numbers ({', '.join(sorted(labels.texts))}) and its name look like splits, not classes. Train "
            f"with a list of labels; if they are classes, say so with {sample.flag(path=path, label=column)} or name "
            "them with --classes FILE."
        )
    if "label" in layout.asked or len(labels) < KEY or len(labels.texts) < len(labels):
        return ""
    return (
        f"each label occurs once: the column {sample.told([column])} is a key, not a class. If it is the class, say so "
        f"with {sample.flag(path=path, label=column)}; with label=folder each image's folder is its class."
    )


def _like_splits(source: Path, labels: Coded) -> bool:
    """Tell whether a list says which line is of which split, by its name and its numbers, as CelebA's does."""
    name = source.stem.lower()
    named = "partition" in name or ("split" in name and not kind_of(name)[0])  # train_split.txt is a part itself
    return named and len(labels.texts) > 1 and set(labels.texts) <= {"0", "1", "2"}


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
