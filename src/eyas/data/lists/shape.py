"""Finds how the lines of a list are split into cells: which separator, and where a path may contain it."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from eyas.data.images.formats import IMAGE_SUFFIXES, is_image
from eyas.data.lists.splits import SPLITS, split_of

PATH_NAMES = frozenset(
    ("path", "file", "filename", "filepath", "image", "img", "imagepath", "imgpath", "imagefile", "imagename",
     "imgname", "name", "id", "imageid")
)  # fmt: skip
LABEL_NAMES = frozenset(
    ("label", "labels", "class", "classid", "classname", "target", "category", "categoryid", "labelid",
     "species", "breed", "y")
)  # fmt: skip
NO_PATHS = (
    "no column was found that holds paths of images: no cell ends like an image, or is one, with or without an ending, "
    "in the folder that paths are relative to (--root). "
    "Say which it is with --columns path=0 (from 0, or by the header's name)."
)
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?$")
_SUFFIX = "|".join(map(re.escape, IMAGE_SUFFIXES))
_SUFFIX_INSIDE = re.compile(rf"(?:{_SUFFIX})(?![\w.])", re.IGNORECASE)
_PATH_THEN_TEXT = re.compile(rf"(.*(?:{_SUFFIX}))\s+(\S.*)$", re.IGNORECASE)

Exists = Callable[[str], bool]


@dataclass(frozen=True)
class Shape:
    """How a line becomes cells: cut at every separator, or only outside a path that holds it itself."""

    separator: str
    count: int
    way: Literal["every", "quoted", "path first", "path last", "text label"] = "every"

    def cut(self, lines: Sequence[str]) -> list[list[str]]:
        separator = None if self.separator == " " else self.separator
        if self.way == "quoted":
            return list(csv.reader(lines, delimiter=self.separator, skipinitialspace=True))
        if self.way == "path first":
            return [line.rsplit(separator, self.count - 1) for line in lines]
        if self.way == "path last":
            return [line.strip().split(separator, self.count - 1) for line in lines]
        if self.way == "text label":
            found = (_PATH_THEN_TEXT.match(line) for line in lines)
            return [list(f.groups()) if f else [line] for f, line in zip(found, lines, strict=True)]
        return [line.split(separator) for line in lines]


def find_shape(sample: list[str], asked: dict[str, str], exists: Exists, *, quoted: bool) -> Shape | None:
    """Return the first way of cutting that leaves a whole path in one column of every line.

    `quoted` tells that the list has quotation marks.
    """
    body = sample if is_image_in(sample[0]) else sample[1:] or sample  # the first line may be a header
    unsure = None
    for separator in "\t;,|":
        if not all(separator in line for line in body):
            continue
        shape = _even_shape(separator, body, quoted=quoted)
        if shape is None:
            shape = _path_shape(separator, body, exists)
            if shape is not None:
                return shape
        elif asked or path_columns(shape.cut(body), exists):
            return shape
        else:
            words = {*plain_words(shape.cut(sample[:1])[0])}
            if (words & PATH_NAMES and words & LABEL_NAMES) or (shape.count == 2 and _one_number(shape.cut(body))):
                unsure = unsure or shape
    if quoted and all(line.count('"') > 1 for line in body):
        shape = _even_shape(" ", body, quoted=True)
        if shape is not None and shape.count > 1 and (asked or path_columns(shape.cut(body), exists)):
            return shape
    shape = (None if asked else _path_shape(" ", body, exists)) or unsure
    for separator in "\t;,|" if shape is None else ():  # some lines may end after their path, the first cell
        longer = [line for line in body if separator in line]
        even = _even_shape(separator, longer, quoted=quoted) if len(longer) > 0.5 * len(body) else None
        if even is not None and path_columns(even.cut(body), exists) == [0]:
            return even
    if asked:  # columns between spaces, which the user counts; a path with spaces must be first
        counts = [len(line.split()) for line in body]
        return Shape(" ", min(counts), "every" if max(counts) == min(counts) else "path first")
    return shape


def _even_shape(separator: str, body: list[str], *, quoted: bool) -> Shape | None:
    """Return the shape with the number of cells that nearly all lines have, or None where they differ."""
    shape = Shape(separator, 0, "quoted" if quoted else "every")
    counts = [len(row) for row in shape.cut(body)]
    usual = max(set(counts), key=counts.count)
    return replace(shape, count=usual) if counts.count(usual) >= 0.9 * len(body) else None


def _path_shape(separator: str, body: list[str], exists: Exists) -> Shape | None:
    """Return how to cut lines whose paths may hold the separator: by the cells after or before the path."""
    cells = Shape(separator, 0).cut(body)
    # how many cells follow the last one that ends like an image
    behind = [next((n for n, cell in enumerate(reversed(row)) if is_image(cell)), None) for row in cells]
    after = [count for count in behind if count is not None]
    if len(after) < 0.5 * len(body):
        return _no_suffix_shape(separator, body, exists)
    usual = max(set(after), key=lambda count: (after.count(count), count))
    if separator == " " and len(set(after)) > 1:
        # text of several words, such as `lily.jpg Colts Foot`, and no other column
        labels = [row[-count:] for row, count in zip(cells, behind, strict=True) if count]
        numbered = any(is_number(words[0]) for words in labels)
        if not (numbered or _column([words[0] for words in labels]) or _column([words[-1] for words in labels])):
            return Shape(" ", 2, "text label")
    if usual:
        return Shape(separator, usual + 1, "path first")
    # the numbers (an index, a label) that stand before the path
    before = min(next((n for n, cell in enumerate(row[:-1]) if not is_number(cell)), len(row) - 1) for row in cells)
    if before == 0 and all(len(row) == 2 for row in cells):
        before = 1  # a class name, then the path
    return Shape(separator, before + 1, "path last")


def _no_suffix_shape(separator: str, body: list[str], exists: Exists) -> Shape | None:
    """Return the shape of lines without image suffixes: a path that is there, or text and a number."""
    words = Shape(separator, 0).cut(body)
    widths = [len(row) for row in words]
    least = min(widths)
    places = [place for column in range(1, least) for place in (column, -column)]
    even = least == max(widths) or any(_column([row[place] for row in words]) for place in places)
    if least > 2 and even and (path_columns(words, exists) or path_columns([row[::-1] for row in words], exists)):
        return Shape(separator, max(widths, key=widths.count))

    def there(shape: Shape) -> int:
        rows = shape.cut(body[:200])
        return max(sum(exists(row[place].strip()) for row in rows) for place in (0, -1))

    ways = (Shape(separator, 2, "path first"), Shape(separator, 2, "path last"))
    for shape in sorted(ways, key=there, reverse=True):  # `p1 BAE 146`: p1 is there
        rows = [row for row in shape.cut(body) if len(row) == 2]
        if rows and (path_columns(rows, exists) or (shape.way == "path first" and _one_number(rows))):
            return shape
    alone = separator == " " and _exist(body, exists)
    return Shape(" ", 1, "path last") if alone else None


def _column(cells: list[str]) -> bool:
    """Tell whether all cells are numbers, words for splits, or True and False: no part of a name of several words."""
    flags = {cell.lower() for cell in cells} <= {"true", "false"}
    return flags or all(map(is_number, cells)) or all(split_of(cell) in SPLITS for cell in cells)


def _one_number(rows: list[list[str]]) -> bool:
    """Tell whether the second of two cells is a number in every row, and the first is not."""
    return all(len(row) == 2 and is_number(row[1]) and not is_number(row[0]) for row in rows)


def _exist(names: Sequence[str], exists: Exists) -> bool:
    """Tell whether most of the first names are files; those are looked up that do not end like an image."""
    first = [name.strip() for name in names[:20]]
    return sum(exists(name) for name in first) > 0.5 * len(first)


def path_columns(rows: list[list[str]], exists: Exists) -> list[int]:
    """Return the columns that may hold the paths: by suffix, or else because the files are there.

    Addresses on the web are no paths where another column holds them.
    """
    width = min(len(row) for row in rows)
    by_suffix = [c for c in range(width) if sum(is_image(row[c]) for row in rows) > 0.5 * len(rows)]
    if here := [c for c in by_suffix if "://" not in rows[0][c]]:
        return here
    there = [c for c in range(width) if _exist([row[c] for row in rows], exists)]
    return [c for c in there if not by_suffix or len({row[c] for row in rows}) == len(rows)] or by_suffix


def plain_words(cells: Sequence[str]) -> list[str]:
    """Return cells as lower-case letters and digits only, as the names of columns are compared."""
    return [re.sub(r"[^0-9a-z]", "", cell.lower()) for cell in cells]


def is_image_in(line: str) -> bool:
    """Tell whether a line holds a name that ends like an image's."""
    return _SUFFIX_INSIDE.search(line) is not None


def is_number(text: str) -> bool:
    """Tell whether a cell is a whole number or a float."""
    return _NUMBER.match(text.strip()) is not None
