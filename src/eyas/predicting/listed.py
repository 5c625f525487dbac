"""A list of images to classify: its paths in their order, and those of its columns that go along with the answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np

from eyas.config.predict import PredictConfig
from eyas.data.images.packed import PackedStrings, Packing
from eyas.data.lists.cells import blocks_of, read_cells
from eyas.data.lists.columns import read_table
from eyas.data.lists.layout import Layout, find_layout
from eyas.data.lists.listing import list_text, report, somewhere
from eyas.data.lists.paths import MISSING, REPORTED, Problems, Root, tidy_paths
from eyas.data.lists.roots import other_folders, root_of
from eyas.data.lists.shape import plain_words
from eyas.data.lists.spelling import find_files
from eyas.errors import DataError, suggest
from eyas.predicting.rows import free_names

FEW = 0.1  # share of a list's files that may be missing: each then has a row with the reason. More is a mistake


@dataclass(frozen=True, eq=False)
class Listed:
    """Images that a list names, row by row: their paths, its columns that are kept, and notes for the user."""

    paths: PackedStrings
    kept: dict[str, PackedStrings] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def cells(self) -> Iterator[tuple[str, ...]]:
        """Yield the kept cells of each row."""
        return zip(*self.kept.values(), strict=True) if self.kept else repeat((), len(self.paths))


def joined(parts: Sequence[Listed]) -> Listed:
    """Return several as one, in their order; a column that only some have is empty in the others."""
    paths, kept = Packing(), {name: Packing() for part in parts for name in part.kept}
    for part in parts:
        paths.add(part.paths.blob, np.diff(part.paths.offsets))
        for name, packing in kept.items():
            column = part.kept.get(name) or PackedStrings(b"", np.zeros(len(part.paths) + 1, np.int64))
            packing.add(column.blob, np.diff(column.offsets))
    notes = tuple(note for part in parts for note in part.notes)
    return Listed(paths.done(), {name: packing.done() for name, packing in kept.items()}, notes)


def read_listed(source: Path, asked: PredictConfig) -> Listed:
    """Return the images that a list file names, a row for each line: it needs paths only, labels are not read.

    Raises `DataError` where the column of the paths is not certain, and with the lines of files that lie outside the
    root, are no regular ones or, if they are many, are missing.
    """
    root = Root(Path(asked.root) if asked.root else source.parent, asked.outside_root)
    if not root.folder.is_dir():
        raise DataError(f"{root}: there is no such folder for the paths of {source} (--root).")
    text, others = list_text(source), other_folders(source, root)
    exists = partial(somewhere, (root, *others))
    layout = find_layout(text, source, columns=asked.columns, exists=exists, labels=False)
    table = read_table(text, source, columns=asked.columns, exists=exists, labels=False)
    report(str(source), table.problems)
    root, notes = root_of(table.paths, source, root, others)
    paths, more = tidy_paths(table.paths, root)
    problems: Problems = []
    paths, sizes, found = find_files(paths, table.lines, root, problems)
    missing = int(np.count_nonzero(sizes == MISSING))
    if missing == len(paths):
        line = table.lines[0]
        if re.match(r"\w\w+:/", paths[0]):
            raise DataError(f"{source}:{line}: {paths[0]} is a web address: download the files, and list those.")
        where = f"such as {paths[0]} in line {line}"
        remedy = problems[0][1].partition("; ")[2] or "--root names another"
        raise DataError(f"{source}: none of its {missing:,} files exists in {root}, {where}; {remedy}.")
    if missing > FEW * len(paths) or np.any((sizes < 0) & (sizes != MISSING)):
        report(str(source), problems, more=max(0, int(np.count_nonzero(sizes < 0)) - REPORTED))
    if missing:
        found = (*found, f"{missing:,} of {len(paths):,} files do not exist in {root}")
    kept, written = keep_columns(text, source, layout, asked.keep_columns)
    notes = (*table.notes, *(note.removeprefix(f"{source.name}: ") for note in notes), *more, *found, *written)
    full = PackedStrings.of(str(root.folder / name) for name in paths)
    return Listed(full, kept, tuple(f"{source}: {note}" for note in notes))


def keep_columns(
    text: bytes, source: Path, layout: Layout, asked: tuple[str, ...] | None
) -> tuple[dict[str, PackedStrings], tuple[str, ...]]:
    """Return the columns that go along with the answers, and notes on those that do not, or under another name.

    A line that is too short has empty cells. Raises `DataError` for a column that there is not.
    """
    every, sample = range(layout.shape.count), layout.sample
    if asked is None:
        unused = [column for column in every if column != layout.columns["path"]]
        told = f"the column{'s' * (len(unused) > 1)} {sample.told(unused)}" if unused else ""
        return {}, (f"not used: {told}. --keep-columns writes them beside the answers",) if told else ()
    titles = [sample.title(column) or f"column_{column}" for column in every]
    words, chosen = plain_words(titles), list[int]()
    for name in (part for one in asked for part in ([one] if one in titles else map(str.strip, one.split(",")))):
        (word,) = plain_words([name])
        if name.isdecimal() and int(name) < len(titles):
            chosen.append(int(name))
        elif name in titles or word in words:
            chosen.append(titles.index(name) if name in titles else words.index(word))
        else:
            there = ", ".join(f"{title} ({number})" for number, title in enumerate(titles))
            hint = suggest(name, titles)
            raise DataError(f"{source}: --keep-columns {name}: no such column; there are {there}.{hint}")
    columns = chosen or every
    names = free_names(titles[column] for column in columns)
    packings = [Packing() for _ in columns]
    for block in blocks_of(text):
        cells = read_cells(block, layout.shape, columns, after=layout.header)
        order = np.argsort(np.concatenate([cells.lines, [line for line, _ in cells.wrong]]), kind="stable")
        for column, spans, packing in zip(columns, cells.columns, packings, strict=True):
            found = spans.packed()
            if cells.wrong:
                more = (row[column].strip() if column < len(row) else "" for _, row in cells.wrong)
                found = PackedStrings.of([*found, *more]).take(order)
            packing.add(found.blob, np.diff(found.offsets))
    renamed = ((titles[column], name) for column, name in zip(columns, names, strict=True) if titles[column] != name)
    notes = tuple(f"its column {title} is written as {name}" for title, name in renamed)
    return dict(zip(names, (packing.done() for packing in packings), strict=True)), notes
