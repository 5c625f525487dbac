"""How a list is laid out: its separator, its header, which of its columns is the path, the label, the split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from eyas.data.cells import UnclosedQuoteError, blocks_of, cut_lines
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
_NO_PATHS = (
    "no column was found whose cells are files or end like images. --root names the folder of the files, "
    "--columns path=0 (from 0, or a header's name) the column."
)


@dataclass(frozen=True)
class Layout:
    """How a list is laid out: its shape, the line of its header (0: none), the column of each thing it holds.

    `names` are the header's cells, one for each column; empty where there is no header.
    """

    shape: Shape
    header: int
    columns: dict[str, int | None]
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def held(self) -> list[str]:
        """Return what a column holds: "path", "label", "split"."""
        return [name for name in ("path", "label", "split") if self.columns.get(name) is not None]


def find_layout(data: bytes, source: Path, *, columns: str | None, exists: Exists, labels: bool = True) -> Layout:
    """Return the layout of a list file, found from its first lines; `exists` tells whether a path is there.

    With `labels=False` only the column of the paths is looked for. Raises `DataError` where the columns cannot be
    told apart with certainty; it says to pass `--columns`.
    """
    sample = list(islice(chain.from_iterable(block.content()[1] for block in blocks_of(data, HEAD)), SAMPLE))
    if not sample:
        needs = "its path, then its label" if labels else "its path"
        raise DataError(f"{source}: the list is empty. It needs a line per image: {needs}.")
    asked = _parse_columns(columns) if columns else {}
    shape = find_shape(sample, asked, exists, quoted=b'"' in data)
    if shape is None:
        raise DataError(f"{source}: {_NO_PATHS}")
    lone = Shape(",", 1, "quoted")
    if shape.count == 1 and b'"' in data and all(len(row) == 1 for row in lone.cut(sample)):
        shape = lone
    rows = _rows(data, shape, source)
    number, first = next(rows)
    body = list(islice((row for _, row in rows if len(row) == shape.count), SAMPLE))
    by_name = any(not value.isdigit() and value != "folder" for value in asked.values())
    places = path_columns(body, exists) if body else []
    names = tuple(cell.strip() for cell in first)
    known = _named(names, places) and not any(exists(name) for name in names)
    if not (by_name or known or _stands_above(names, body, places, exists)):
        names = ()
    if not names and len(first) == shape.count:
        body.insert(0, first)
    header = number if names else 0
    if names and len(names) != shape.count:  # whose name is whose is not known
        if by_name:
            raise DataError(
                f"{source}:{number}: the header has {len(names)} columns, where the other lines have {shape.count}. "
                "Say the columns by their numbers, such as --columns path=0 (from 0)."
            )
        names = ()
    wanted = asked if labels else {key: value for key, value in asked.items() if key == "path"}
    picks = _choose(body, plain_words(names), wanted, source, exists, labels=labels) if body else {}
    notes: tuple[str, ...] = ()
    if header and not (by_name or known):
        notes += (f"line {number} is taken for a header: {', '.join(first)}",)
    if labels and picks and picks["label"] is None:
        notes += ("no column holds labels: the name of each image's folder is its class",)
    return Layout(shape, header, picks, names, notes)


def _rows(data: bytes, shape: Shape, source: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each line that says something, after its number."""
    for block in blocks_of(data, HEAD):
        with quotes_closed(source):
            rows = cut_lines(block, shape)
        yield from rows


@contextmanager
def quotes_closed(source: Path) -> Iterator[None]:
    """Name the line of a quotation mark that stays open."""
    try:
        yield
    except UnclosedQuoteError as error:
        raise DataError(f"{source}:{error}: a quotation mark is opened and not closed on this line.") from None


def _parse_columns(columns: str) -> dict[str, str]:
    """Read `path=0,label=2`: keys path, label and split; values numbers from 0 or header names."""
    asked = {}
    for part in columns.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in ("path", "label", "split") or not value:
            raise DataError(f"--columns {columns}: write it as path=0,label=2 or path=filename,label=class.")
        asked[key] = value
    return asked


def _named(names: Sequence[str], places: Sequence[int]) -> bool:
    """Tell whether a first line is a header by its words: one above a column of paths, two without one."""
    if any(is_image(name) for name in names):
        return False
    known = sum(word in PATH_NAMES | LABEL_NAMES | SPLIT_NAMES for word in plain_words(names))
    return known >= (1 if places else 2)


def _stands_above(names: Sequence[str], rows: list[list[str]], places: list[int], exists: Exists) -> bool:
    """Tell whether a first line is a header though no word of it is known: none of its cells is a file or looks like
    those below, where paths are. The numbers in a path count as alike: `p007` is no header above `p008`.
    """
    if not places or len(names) != len(rows[0]) or any(is_image(name) or exists(name) for name in names):
        return False
    alike = [{_form(row[c]) if c in places else row[c].strip() for row in rows} for c in range(len(names))]
    return not any((_form(name) if c in places else name) in alike[c] for c, name in enumerate(names))


def _form(path: str) -> str:
    return re.sub(r"\d+", "0", path.strip())


def _choose(
    rows: list[list[str]], header: list[str], asked: dict[str, str], source: Path, exists: Exists, *, labels: bool
) -> dict[str, int | None]:
    """Return the index of the path, label and split column; `DataError` where more than one would do."""
    picks = {key: _asked_column(key, value, header, rows, source) for key, value in asked.items()}
    if "split" not in picks:
        picks["split"] = _by_name(header, SPLIT_NAMES) if labels else None
    if "path" not in picks:
        picks["path"] = _path_column(rows, header, picks, source, exists)
    if "label" not in picks:
        named = _by_name(header, LABEL_NAMES, without=picks["path"])
        picks["label"] = (named if named is not None else _label_column(rows, picks, source)) if labels else None
    return picks


def _asked_column(key: str, value: str, header: list[str], rows: list[list[str]], source: Path) -> int | None:
    if key == "label" and value == "folder":
        return None
    if value.isdigit():
        if int(value) < len(rows[0]):
            return int(value)
        raise DataError(f"{source}: --columns {key}={value}: the list has columns 0 to {len(rows[0]) - 1}.")
    word = plain_words([value])[0]
    if word in header:
        return header.index(word)
    near = suggest(word, header)
    raise DataError(f"{source}: --columns {key}={value}: the list has no column of this name.{near}")


def _by_name(header: list[str], names: frozenset[str], without: int | None = None) -> int | None:
    """Return the only column whose header is one of `names`; None where there is none or several."""
    found = [c for c, word in enumerate(header) if word in names and c != without]
    return found[0] if len(found) == 1 else None


def _path_column(
    rows: list[list[str]],
    header: list[str],
    picks: dict[str, int | None],
    source: Path,
    exists: Exists,
) -> int:
    if len(rows[0]) == 1:
        return 0
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
    raise DataError(f"{source}: {_which('paths', 'path=0', found) if found else _NO_PATHS}")


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
    raise DataError(f"{source}: {_which('labels', 'path=0,label=2', left)}")


def _which(what: str, example: str, columns: Sequence[int]) -> str:
    some = ", ".join(map(str, columns))
    return f"any of the columns {some} may hold the {what}. Say which, as --columns {example} (from 0)."
