"""Finds the layout of a list file: its separator, its header, and what its columns hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np

from eyas.data.images.formats import is_image
from eyas.data.images.packed import PackedStrings
from eyas.data.lists.cells import blocks_of, read_cells
from eyas.data.lists.roles import Roles, Sample, choose
from eyas.data.lists.shape import (
    LABEL_NAMES,
    NO_PATHS,
    PATH_NAMES,
    Exists,
    Shape,
    find_shape,
    is_image_in,
    is_number,
    path_columns,
    plain_words,
)
from eyas.data.lists.splits import TITLES
from eyas.errors import DataError

SAMPLE = 1000  # rows that the layout is found from; all rows are then read by it
HEAD = 1 << 16  # bytes that are read at a time to find it


@dataclass(frozen=True)
class Layout:
    """How a list is laid out: its shape, the line it begins after (its header's, or 0), what its columns hold.

    `asked` is what the user chose: some of "path", "label", "split".
    """

    shape: Shape
    header: int
    roles: Roles
    sample: Sample
    asked: frozenset[str]
    notes: tuple[str, ...] = ()


def find_layout(data: bytes, source: Path, *, columns: str | None, exists: Exists, labels: bool = True) -> Layout:
    """Return the layout of a list file, found from its first lines; `exists` tells whether a path is there.

    With `labels=False` only the column of the paths is looked for. Raises `DataError` where the columns cannot be
    told apart with certainty; it says to pass `--columns`.
    """
    sample = list(islice(chain.from_iterable(block.content()[1] for block in blocks_of(data, source, HEAD)), SAMPLE))
    _refuse_unread(sample, source, "its path, then its label" if labels else "its path", exists)
    asked = _parse_columns(columns) if columns else {}
    first_line, above = sample[0].strip(), _stands_alone(sample, exists)
    sample = sample[above:]
    # `0 1` may be a file, or one with its label
    whole = not (labels or asked) and all("\t" not in line and exists(line) for line in sample[1:] or sample)
    shape = Shape(" ", 1, "path last") if whole else find_shape(sample, asked, exists, quoted=b'"' in data)
    if shape is None:
        wide = "full-width commas (，) separate nothing: replace them by plain ones (,)."
        raise DataError(f"{source}: {wide if all('，' in line for line in sample) else NO_PATHS}")
    lone = Shape(",", 1, "quoted")
    if shape.count == 1 and b'"' in data and all(len(row) == 1 for row in lone.cut(sample)):
        shape = lone
    rows = chain.from_iterable(zip(*block.rows(shape), strict=True) for block in blocks_of(data, source, HEAD))
    skipped = next(rows)[0] if above else 0
    number, first = next(rows)
    body = list(islice((row for _, row in rows if len(row) == shape.count), SAMPLE))
    by_name = any(re.search(r"[^\d+]", value) and value not in ("folder", "none") for value in asked.values())
    places = path_columns(body, exists) if body else []
    names = tuple(cell.strip() for cell in first)
    if shape.separator == " " and len(names) == shape.count - 1 > 1 and places == [0]:
        names = ("", *names)  # a header that leaves the paths' column out, as CelebA's does
    # a header by its words: one above a column of paths, two without one
    words = sum(word in PATH_NAMES | LABEL_NAMES | TITLES for word in plain_words(names))
    known = words >= (1 if places else 2) and not any(map(is_image, names))
    known = known and not any(exists(first[c]) for c in places if c < len(first))
    told = by_name or known or _stands_above(names, body, places, exists)
    fits = len(names) == shape.count  # else it is not known whose name is whose
    if by_name and not fits:
        raise DataError(
            f"{source}:{number}: the header has {len(names)} columns, where the other lines have {shape.count}. "
            "Say the columns by their numbers, such as --columns path=0 (from 0)."
        )
    header = bool(body) and told
    if not header and len(first) == shape.count:
        body.insert(0, first)
    after = number if header else skipped

    stripped = [[cell.strip() for cell in row] for row in body]
    differ = partial(_all_differ, data, source, shape, after)
    cells = Sample(source, stripped, names if header and fits else (), differ)
    roles = choose(cells, asked, exists, labels=labels) if body else Roles(0)
    if roles.hot and shape.separator == " " and any(" " in name for name in names):
        raise DataError(
            f"{source}:{number}: the header has more words than there are columns, which name the classes. "
            "Put tabs or commas between the columns."
        )
    notes: tuple[str, ...] = (f"line {skipped} is left out: {first_line}",) if above else ()
    if header and not (by_name or known):
        notes += (f"line {number} is taken for a header: {', '.join(filter(None, names))}",)
    if labels and body:
        notes += cells.told_of(roles)
    return Layout(shape, after, roles, cells, frozenset(asked), notes)


def _all_differ(data: bytes, source: Path, shape: Shape, after: int, column: int) -> bool:
    """Tell whether all cells of a column differ, in the whole list."""
    cells = (read_cells(block, shape, [column], after=after).columns[0] for block in blocks_of(data, source))
    hashes = PackedStrings.of(chain.from_iterable(cells)).hashes()
    return len(np.unique(hashes)) == len(hashes)


def _refuse_unread(sample: Sequence[str], source: Path, needs: str, exists: Exists) -> None:
    """Raise `DataError` for a list without images, and for one whose cells are written in a form that is not read."""
    needs = f"It needs a line per image: {needs}."
    if not sample:
        raise DataError(f"{source}: the list is empty. {needs}")
    first, body = sample[0].strip(), [line.strip() for line in sample[1:] or sample]
    words = plain_words(re.split(r"[,;\t|]", first))
    if len(sample) == 1 and {*words} & (PATH_NAMES | LABEL_NAMES) and not (is_image_in(first) or exists(first)):
        raise DataError(f"{source}: has a header ({first}) and no line below it. {needs}")
    if first in ("[", "{") or re.match(r"(\[\s*)?\{\s*\"|\[\s*\"", first):
        raise DataError(f"{source}: holds JSON, which is not read. {needs}")
    if all(re.match(r"'[^']*'\s*([,;\t|]|$)", line) for line in body):
        told = "the cells stand in single quotation marks ('): replace them by double ones (\"), or leave them off"
        raise DataError(f"{source}: {told}.")


def _parse_columns(columns: str) -> dict[str, str]:
    """Read `path=0,label=2`: keys path, label and split; values numbers from 0 or header names."""
    asked = {}
    for part in columns.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in ("path", "label", "split") or not value:
            raise DataError(f"--columns {columns}: write it as path=0,label=2 or path=filename,label=class.")
        asked[key] = value
    return asked


def _stands_alone(sample: Sequence[str], exists: Exists) -> bool:
    """Tell whether the first line says how many lines follow (CelebA), or is Excel's `sep=;`."""
    first = sample[0].strip()
    told = re.fullmatch(r"\d+|sep=.", first, re.IGNORECASE) is not None and not exists(first)
    return told and len(sample) > 2 and all(re.search(r"[\s,;]", line.strip()) for line in sample[1:])


def _stands_above(names: Sequence[str], rows: list[list[str]], places: list[int], exists: Exists) -> bool:
    """Tell whether a first line is a header though no word of it is known: none of its cells is a file or looks like
    those below, where paths are. The numbers in a path count as alike: `p007` is no header above `p008`.
    """
    if not places or len(names) != len(rows[0]) or any(is_image(name) or exists(name) for name in names):
        return False
    words = " ".join(names).split()  # a path with spaces may have been cut
    if any(exists(" ".join(part)) for i in range(len(words)) for part in (words[i:], words[:i])):
        return False
    for column, name in enumerate(names):
        below = [row[column].strip() for row in rows]
        form = partial(re.sub, r"\d+", "0")
        if column in places and ("/" in name or "\\" in name or form(name) in map(form, below)):
            return False
        if column not in places and (name in below or (is_number(name) and all(map(is_number, below)))):
            return False
    return True
