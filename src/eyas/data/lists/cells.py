"""Splits the lines of a list file into cells, a block of lines at a time."""

from __future__ import annotations

import csv
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from eyas.data.lists.shape import Shape
from eyas.errors import DataError
from eyas.files.reading import LARGEST_LIST, read_file

BLOCK = 1 << 18  # bytes of a list that are read at a time: what becomes of them fits into a processor's cache
LONGEST = 1 << 14  # bytes of a line: a path has at most 4096, and a class has a shorter name


def list_text(source: Path) -> bytes:
    """Return the list as UTF-8 with newlines only; raises `DataError` naming the line that is not UTF-8."""
    if not source.exists():
        raise DataError(f"{source}: there is no such list.")
    data = read_file(source, LARGEST_LIST)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{source}:1: the list is UTF-16 text. Save it again as UTF-8.")
    if (nul := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise DataError(f"{source}:{line}: a NUL byte: this is not a text file.")
    # to cut up a line that is too long for a path and a label would take for ever; if it is longer than two windows,
    # it fills a whole one
    window = LONGEST // 2
    for start in range(0, len(data), window):
        if data.find(b"\n", start, start + window) >= 0 or data.find(b"\r", start, start + window) >= 0:
            continue
        begin = max(data.rfind(b"\n", 0, start), data.rfind(b"\r", 0, start)) + 1
        ends = [end for end in (data.find(b"\n", start), data.find(b"\r", start)) if end >= 0]
        length = min(ends, default=len(data)) - begin
        if length > LONGEST:
            line = data.count(b"\n", 0, begin) + 1
            raise DataError(f"{source}:{line}: this line has {length:,} bytes; a path and a label are shorter.")
    for block in () if data.isascii() else blocks_of(data, source):
        try:
            block.text.decode()
        except UnicodeDecodeError as error:
            line = block.first + block.text.count(b"\n", 0, error.start)
            raise DataError(f"{source}:{line}: this line is not UTF-8 text. Save the list again as UTF-8.") from None
    data = data.removeprefix(BOM_UTF8)
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


@dataclass(frozen=True)
class Block:
    """Whole lines of the list `source`: `text` is UTF-8, `first` the number of its first line."""

    text: bytes
    first: int
    source: Path

    def content(self) -> tuple[list[int], list[str]]:
        """Return the lines that are neither empty nor comments, after their numbers."""
        text = self.text.decode()
        lines = text.split("\n")
        numbers = range(self.first, self.first + len(lines))
        if "#" not in text and all(map(str.strip, lines[:-1])):  # nearly always, and quicker
            there = len(lines) - (not lines[-1].strip())
            return [*numbers[:there]], lines[:there]
        kept = [bool(line.strip()) and line[0] != "#" for line in lines]
        return [*compress(numbers, kept)], [*compress(lines, kept)]

    def comments(self) -> int:
        """Return how many lines are comments."""
        return self.text.startswith(b"#") + self.text.count(b"\n#")

    def rows(self, shape: Shape) -> tuple[list[int], list[list[str]]]:
        """Return the cells of `content`, after its numbers. Raises `DataError` for an open quotation mark."""
        numbers, lines = self.content()
        if shape.way != "quoted":
            return numbers, shape.cut(lines)
        # a quotation mark that is still open behind the last line takes in the empty one
        reader, rows = csv.reader([*lines, ""], delimiter=shape.separator, skipinitialspace=True), []
        for number, row in zip(numbers, reader, strict=False):
            rows.append(row)
            if reader.line_num != len(rows):
                told = "a quotation mark is opened and not closed on this line"
                raise DataError(f"{self.source}:{number}: {told}.")
        return numbers, rows


def blocks_of(data: bytes, source: Path, size: int = BLOCK) -> Iterator[Block]:
    """Yield a list's lines, about `size` bytes at a time."""
    start, line = 0, 1
    while start < len(data):
        end = data.find(b"\n", start + size - 1) + 1 or len(data)
        block = Block(data[start:end], line, source)
        yield block
        start, line = end, line + block.text.count(b"\n")


@dataclass(frozen=True)
class Cells:
    """A block's cells: `columns` as asked for, row by row; `wrong` has the lines with fewer or more cells."""

    columns: list[list[str]]
    lines: list[int]
    wrong: list[tuple[int, list[str]]]


def read_cells(
    block: Block, shape: Shape, columns: Sequence[int], *, after: int = 0, least: int | None = None
) -> Cells:
    """Return the cells of some columns, stripped, in the lines after line `after`.

    A line may have `least` cells only, where that is given: what it lacks is "". Raises `DataError`.
    """
    numbers, rows = block.rows(shape)
    count, wrong = shape.count, list[tuple[int, list[str]]]()
    if after >= block.first:
        numbers = [number for number in numbers if number > after]
        rows = rows[len(rows) - len(numbers) :]
    if {*map(len, rows)} - {count}:
        enough, numbered = count if least is None else least, [*zip(numbers, rows, strict=True)]
        wrong = [(number, row) for number, row in numbered if not enough <= len(row) <= count]
        right = [(number, row + [""] * (count - len(row))) for number, row in numbered if enough <= len(row) <= count]
        numbers, rows = [number for number, _ in right], [row for _, row in right]
    cells = [*zip(*rows, strict=True)] or [()] * count
    return Cells([[*map(str.strip, cells[column])] for column in columns], numbers, wrong)
