"""The lines of a list file -> cells, a block at a time: all lines at once where that is certain, else one by one."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eyas.data.images.packed import Bytes, Ints, PackedStrings, Spans
from eyas.data.lists.shape import Shape

BLOCK = 1 << 20  # bytes of a list that are read at a time
TAB, NEWLINE, SPACE, COMMENT = b"\t\n #"
# what Python takes for white space beside space, tab and newline, in UTF-8; the control characters are counted apart
_OTHER_SPACE = re.compile(rb"\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2(?:\x80[\x80-\x8a\xa8\xa9\xaf]|\x81\x9f)|\xe3\x80\x80")


@dataclass(frozen=True)
class Block:
    """Whole lines of a list: `text` is UTF-8, `first` the number of its first line."""

    text: bytes
    first: int

    def content(self) -> tuple[list[int], list[str]]:
        """Return the lines that say something, after their numbers."""
        numbered = enumerate(self.text.decode().split("\n"), self.first)
        kept = [(number, line) for number, line in numbered if line and not line.isspace() and line[0] != "#"]
        return [number for number, _ in kept], [line for _, line in kept]

    def comments(self) -> int:
        """Return how many lines are comments."""
        return self.text.startswith(b"#") + (self.text.count(b"\n#") if b"#" in self.text else 0)


@dataclass(frozen=True, eq=False)
class Cells:
    """A block's cells: `columns` as asked for, `lines` int32 [N]; `wrong` has the lines with fewer or more cells."""

    columns: list[Spans]
    lines: NDArray[np.int32]
    wrong: list[tuple[int, list[str]]]


def blocks_of(data: bytes, size: int = BLOCK) -> Iterator[Block]:
    """Yield a list's lines, about `size` bytes at a time."""
    start, line = 0, 1
    while start < len(data):
        end = data.find(b"\n", start + size - 1) + 1 or len(data)
        block = Block(data[start:end], line)
        yield block
        start, line = end, line + _count(np.frombuffer(block.text, np.uint8), NEWLINE)


def read_cells(block: Block, shape: Shape, columns: Sequence[int], *, after: int = 0) -> Cells:
    """Return the cells of some columns, stripped, in the lines after line `after`.

    Raises `UnclosedQuoteError`.
    """
    return cells_at_once(block, shape, columns, after) or cells_one_by_one(block, shape, columns, after)


class UnclosedQuoteError(Exception):
    """A quotation mark is opened and not closed on the line of this number."""


def cut_lines(block: Block, shape: Shape) -> list[tuple[int, list[str]]]:
    """Return the cells of each line that says something, after its number. Raises `UnclosedQuoteError`."""
    numbers, lines = block.content()
    if shape.way != "quoted":
        return list(zip(numbers, shape.cut(lines), strict=True))
    # a quotation mark that is still open behind the last line takes in the empty one
    rows = csv.reader([*lines, ""], delimiter=shape.separator, skipinitialspace=True)
    found = []
    for number, row in zip(numbers, rows, strict=False):
        found.append((number, row))
        if rows.line_num != len(found):
            raise UnclosedQuoteError(number)
    return found


def cells_one_by_one(block: Block, shape: Shape, columns: Sequence[int], after: int) -> Cells:
    """Return what `read_cells` does, line by line: the slow way that is right for every list."""
    numbered = cut_lines(block, shape)
    right = [(number, row) for number, row in numbered if number > after and len(row) == shape.count]
    wrong = [(number, row) for number, row in numbered if number > after and len(row) != shape.count]
    found = [PackedStrings.of(row[column].strip() for _, row in right).spans() for column in columns]
    return Cells(found, np.array([number for number, _ in right], np.int32), wrong)


def cells_at_once(block: Block, shape: Shape, columns: Sequence[int], after: int) -> Cells | None:
    """Return what `read_cells` does by arithmetic on the places of newlines and separators.

    None where that is not certain: quotation marks, labels of several words, white space that is no space or tab.
    """
    text = np.frombuffer(block.text, np.uint8)
    quoted = shape.way == "quoted"
    if quoted and b'"' not in block.text:
        shape = replace(shape, way="every")
    if shape.way in ("quoted", "text label") or (quoted and shape.separator == " ") or not _plain(block.text, text):
        return None
    lines, starts, ends = _lines(block, text, after)
    trimmed = _trimmed(text, starts, ends)
    said = trimmed[0] < trimmed[1]
    lines, starts, ends = lines[said], starts[said], ends[said]
    if shape.separator == " " or shape.way == "path last":
        starts, ends = trimmed[0][said], trimmed[1][said]
    cuts, resumes = _separators(text, shape.separator)
    before, until = np.searchsorted(cuts, starts), np.searchsorted(cuts, ends)
    needed = shape.count - 1
    there = until - before
    right = there == needed if shape.way == "every" else there >= needed
    first = (until - needed if shape.way == "path first" else before)[right]
    found = []
    for column in columns:
        begin = resumes[first + column - 1] if column else starts[right]
        end = cuts[first + column] if column < needed else ends[right]
        found.append(Spans(text, *_trimmed(text, begin, end)))
    wrong = list(shape.cut(Spans(text, starts[~right], ends[~right]).strings()))
    if quoted:  # its reader leaves out the spaces before a cell
        wrong = [[cell.lstrip(" ") for cell in row] for row in wrong]
    return Cells(found, lines[right], list(zip(lines[~right].tolist(), wrong, strict=True)))


def _plain(data: bytes, text: Bytes) -> bool:
    """Tell whether the only white space is spaces, tabs and newlines."""
    controls = _count(text, NEWLINE) + _count(text, TAB)
    return np.count_nonzero(text < SPACE) == controls and (data.isascii() or _OTHER_SPACE.search(data) is None)


def _count(text: Bytes, letter: int) -> int:
    return int(np.count_nonzero(text == letter))


def _lines(block: Block, text: Bytes, after: int) -> tuple[NDArray[np.int32], Ints, Ints]:
    """Return number, start and end of the lines after line `after` that are no comments."""
    ends = np.flatnonzero(text == NEWLINE)
    if text[-1] != NEWLINE:
        ends = np.append(ends, len(text))
    starts = np.concatenate([[0], ends[:-1] + 1])
    lines = np.arange(block.first, block.first + len(starts), dtype=np.int32)
    kept = (text[starts] != COMMENT) & (lines > after)
    return lines[kept], starts[kept], ends[kept]


def _trimmed(text: Bytes, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Return the places without the spaces and tabs at both sides."""
    starts, ends = starts.copy(), ends.copy()
    rows = np.flatnonzero((starts < ends) & _is_space(text[np.minimum(starts, len(text) - 1)]))
    while len(rows):  # only those with more of them: a thousand spaces in one line must not cost all lines a look each
        starts[rows] += 1
        rows = rows[starts[rows] < ends[rows]]
        rows = rows[_is_space(text[starts[rows]])]
    rows = np.flatnonzero((starts < ends) & _is_space(text[ends - 1]))
    while len(rows):
        ends[rows] -= 1
        rows = rows[starts[rows] < ends[rows]]
        rows = rows[_is_space(text[ends[rows] - 1])]
    return starts, ends


def _is_space(text: Bytes) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (text == SPACE) | (text == TAB)
    return found


def _separators(text: Bytes, separator: str) -> tuple[Ints, Ints]:
    """Return where each separator begins and where what follows it begins; spaces and tabs in a row are one."""
    if separator != " ":
        cuts = np.flatnonzero(text == ord(separator))
        return cuts, cuts + 1
    blank = np.flatnonzero(_is_space(text))
    apart = np.diff(blank) != 1
    return blank[np.append(True, apart)[: len(blank)]], blank[np.append(apart, True)[: len(blank)]] + 1
