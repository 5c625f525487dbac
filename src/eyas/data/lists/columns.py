"""Reads a list file into packed columns: paths, labels, splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyas.data.images.packed import Coded, Coding, PackedStrings, Packing
from eyas.data.lists.cells import blocks_of, read_cells
from eyas.data.lists.layout import Layout, find_layout
from eyas.data.lists.paths import Problems
from eyas.data.lists.roles import KEY
from eyas.data.lists.shape import Exists
from eyas.data.lists.splits import MINUS, NO, SPLITS, YES, flag_of, kind_of, meanings, of_flags
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
    problems: Problems = field(default_factory=list)
    key: str = ""


def read_table(data: bytes, source: Path, *, columns: str | None, exists: Exists, labels: bool = True) -> Table:
    """Return the columns of a list file, `data` (UTF-8, lines ended by newlines); raises `DataError`.

    With `labels=False` only the paths: neither labels nor splits are looked for, and a line may lack its other cells.
    """
    layout = find_layout(data, source, columns=columns, exists=exists, labels=labels)
    roles, width = layout.roles, layout.shape.count
    label = () if roles.label is None else (roles.label,)
    held = (roles.path, *label, *roles.hot, *roles.splits)
    paths, codings = Packing(), [Coding() for _ in held[1:]]
    lines, problems, comments = [np.zeros(0, np.int32)], Problems(), 0
    for block in blocks_of(data, source):
        least = None if labels else roles.path + 1
        cells = read_cells(block, layout.shape, held, after=layout.header, least=least)
        paths.add(cells.columns[0])
        for coding, texts in zip(codings, cells.columns[1:], strict=True):
            coding.add(texts)
        lines.append(np.array(cells.lines, np.int32))
        for line, row in cells.wrong:
            short = f"the label is missing: {' '.join(row).strip()!r}" if len(row) < 2 <= width else ""
            problems.append((line, short or f"{len(row)} columns, where the other lines have {width}"))
        comments += block.comments()
    found, numbers, notes = [coding.done() for coding in codings], np.concatenate(lines), layout.notes
    coded, key = found[0] if label else None, ""
    if coded is not None:
        key = _key(coded, layout)
    elif roles.hot:
        coded, more = _one_hot(found[: len(roles.hot)], layout, numbers, problems)
        notes += more
    if comments:
        notes += (f"{comments} comment line{'s' * (comments > 1)} (starting with #) left out",)
    splits = _splits(found[-len(roles.splits) :], layout) if roles.splits else None
    return Table(paths.done(), coded, numbers, splits, notes, problems, key)


def split_names(data: bytes, source: Path, *, columns: str | None, exists: Exists) -> tuple[str, ...]:
    """Return the splits that a list's own column names, sorted; none where it has no such column."""
    layout = find_layout(data, source, columns=columns, exists=exists)
    if not layout.roles.splits:
        return ()
    codings = [Coding() for _ in layout.roles.splits]
    for block in blocks_of(data, source):
        cells = read_cells(block, layout.shape, layout.roles.splits, after=layout.header)
        for coding, texts in zip(codings, cells.columns, strict=True):
            coding.add(texts)
    return tuple(sorted(set(_splits([coding.done() for coding in codings], layout).texts)))


def _splits(found: list[Coded], layout: Layout) -> Coded:
    """Return the splits that a column's words name, or several columns' marks.

    Raises `DataError` where one names none, unless the columns were chosen.
    """
    sample, columns = layout.sample, layout.roles.splits
    titles, several = [sample.title(column) or str(column) for column in columns], len(columns) > 1
    if several:
        marks = [flag_of(title, column.texts) for title, column in zip(titles, found, strict=True)]
        if not all(marks):
            raise DataError(f"{sample.source}: not all cells of the columns {', '.join(titles)} are yes or no (1, 0).")
        coded = of_flags(marks, found)
    else:
        words = meanings(sample.title(columns[0]), found[0].texts)
        coded = Coded(found[0].codes, [words[text] for text in found[0].texts])
    other = sorted(set(coded.texts) - set(SPLITS))
    if other and "split" not in layout.asked:
        raise DataError(
            f"{sample.source}: the column{'s' * several} {', '.join(titles)} name{'s' * (not several)} the split, but "
            f"also sa{'y' if several else 'ys'} {', '.join(map(repr, other[:3]))}. "
            f"{sample.flag(split=columns)} leaves those lines out, --columns split=none reads all lines."
        )
    return coded


def _key(labels: Coded, layout: Layout) -> str:
    """Return what is wrong where each line has another label, a key, or a split's number; unless the user says else."""
    if "label" in layout.asked:
        return ""
    sample, column, path = layout.sample, layout.roles.label or 0, layout.roles.path
    name = sample.source.stem.lower()
    # a list of which line is of which split, as CelebA's; train_split.txt is a part itself
    called = "partition" in name or ("split" in name and not kind_of(name)[0])
    if not sample.names and called and len(labels.texts) > 1 and set(labels.texts) <= {"0", "1", "2"}:
        return (
            f"its only numbers ({', '.join(sorted(labels.texts))}) and its name look like splits, not classes. Train "
            f"with a list of labels; if they are classes, say so with {sample.flag(path=path, label=column)} or name "
            "them with --classes FILE."
        )
    if len(labels) < KEY or len(labels.texts) < len(labels):
        return ""
    return (
        f"each label occurs once: the column {sample.told([column])} is a key, not a class. If it is the class, say so "
        f"with {sample.flag(path=path, label=column)}; with label=folder each image's folder is its class."
    )


# One-hot columns: one for each class, with a 1 in the lines of that class.


def _one_hot(
    columns: list[Coded], layout: Layout, lines: NDArray[np.int32], problems: Problems
) -> tuple[Coded, tuple[str, ...]]:
    """Return the header of the column that holds a 1 as each line's label, and a note on headers that no line has.

    A line with none or several becomes a problem. Raises `DataError` for headers that are empty or occur twice.
    """
    sample, hot = layout.sample, layout.roles.hot
    titles = [sample.title(column) for column in hot]
    if "" in titles or len(set(titles)) < len(titles):
        raise DataError(f"{sample.source}: the columns {sample.told(hot)} need different names: their classes.")
    count, last = np.zeros(len(lines), np.int32), np.zeros(len(lines), np.int32)
    for number, (title, column) in enumerate(zip(titles, columns, strict=True)):
        no = MINUS if MINUS & set(column.texts) and not NO & set(column.texts) else NO
        other = np.array([text not in YES | no for text in column.texts], np.bool_)
        for row in np.flatnonzero(other[column.codes]).tolist():
            told = f"{column.texts[column.codes[row]]!r} is neither 1 nor 0 in the column {title}"
            problems.append((int(lines[row]), told))
        marks = np.array([text in YES for text in column.texts], np.bool_)[column.codes]
        count += marks
        last[marks] = number
    remedy = sample.flag(path=layout.roles.path, label=hot[0])
    for row in np.flatnonzero(count != 1).tolist():
        reason = f"{count[row] or 'none'} of the columns {_some(titles)} {'hold' if count[row] > 1 else 'holds'} a 1"
        problems.append((int(lines[row]), f"{reason} (multi-label): an image has one class. {remedy} uses one column"))
    used = np.unique(last[count == 1])
    idle = [title for number, title in enumerate(titles) if number not in used]
    notes = (f"no line has a 1 in the column{'s' * (len(idle) > 1)} {_some(idle)}: no class",) if idle else ()
    codes = np.searchsorted(used, np.minimum(last, used.max(initial=0))).astype(np.int32)
    return Coded(codes, [titles[number] for number in used] or titles[:1]), notes


def _some(titles: Sequence[str]) -> str:
    return ", ".join(titles[:8]) + f" and {len(titles) - 8} more" * (len(titles) > 8)
