"""Class names in a table with separators: which lines are one, which column holds the names, which their numbers."""

from __future__ import annotations

import csv
import re
from collections import Counter

from eyas.data.lists.class_markup import Entry, UnclearError, as_number
from eyas.data.lists.shape import plain_words

NAME_WORDS = frozenset(
    ("name", "names", "class", "classes", "classname", "classnames", "label", "labels", "labelname", "category",
     "categories", "categoryname", "title", "species", "breed", "target", "humanreadablelabel")
)  # fmt: skip
NUMBER_WORDS = frozenset(
    ("id", "ids", "index", "idx", "number", "num", "no", "nr", "classid", "classindex", "classidx", "classno",
     "labelid", "labelindex", "labelidx", "categoryid", "targetid", "label", "class", "target", "y")
)  # fmt: skip
COUNT_WORDS = frozenset(("count", "counts", "images", "samples", "size", "total", "frequency", "freq", "support", "n"))
TABLES = {".csv": "\t;,", ".tsv": "\t"}

Line = tuple[int, str]  # its number, its text
Row = tuple[int, list[str]]


def table_of(lines: list[Line], suffix: str) -> list[Row] | None:
    """Return the cells of a table; None where the lines are not surely one: names may hold commas."""
    odd = None
    for separator in TABLES.get(suffix, "\t;,"):
        if not any(separator in line for _, line in lines):
            continue
        try:
            rows = [(number, _cut(line, separator)) for number, line in lines]
        except csv.Error:  # a quotation mark that is closed before another separator, or not at all
            continue
        widths = Counter(len(row) for _, row in rows)
        if max(widths) == 1 or not (suffix in TABLES or _surely(separator, [row for _, row in rows])):
            continue
        if len(widths) == 1:
            kept = [c for c in range(max(widths)) if any(row[c] for _, row in rows)] or [0]
            return [(number, [row[c] for c in kept]) for number, row in rows]
        usual = widths.most_common(1)[0][0]
        odd = odd or next((number, len(row), usual) for number, row in rows if len(row) != usual)
    if odd is not None:
        more = "quote a name that holds the separator"
        raise UnclearError(odd[0], f"{odd[1]} columns, where the other lines have {odd[2]}: {more}")
    return None


def _cut(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True))]


def _surely(separator: str, rows: list[list[str]]) -> bool:
    """Tell whether lines of any text are a table: by tabs, by a heading, by a column of numbers at one side."""
    if len(rows[0]) > 1 and set(plain_words(rows[0])) & (NAME_WORDS | NUMBER_WORDS):
        return True
    body = rows[1:] or rows
    numbers = (all(len(row) > 1 and as_number(row[side]) is not None for row in body) for side in (0, -1))
    return any(numbers) or (separator == "\t" and all(len(row) > 1 for row in rows))


def from_table(rows: list[Row], notes: list[str]) -> list[Entry]:
    words, body = plain_words(rows[0][1]), [row for _, row in rows]
    numeric = [all(as_number(row[c]) is not None for row in body[1:]) for c in range(len(words))]
    fits = [c for c, all_numbers in enumerate(numeric) if all_numbers and as_number(body[0][c]) is not None]
    heading = len(rows) > 1 and not fits and (any(numeric) or bool(set(words) & (NAME_WORDS | NUMBER_WORDS)))
    if heading:
        notes.append(f"its first line is a heading: {', '.join(body[0])}")
    else:
        words = [""] * len(words)
    rows = rows[heading:]
    name, number = _roles(words, [row for _, row in rows], rows[0][0] - heading)
    unused = [(heading and body[0][c]) or f"number {c}" for c in range(len(words)) if c not in (name, number)]
    if unused:
        notes.append(f"column{'s' * (len(unused) > 1)} not used: {', '.join(unused)}")
    return [Entry(line, row[name], None if number is None else int(row[number])) for line, row in rows]


def _roles(words: list[str], body: list[list[str]], line: int) -> tuple[int, int | None]:
    """Return the column of the names and that of their numbers, if there is one; words are those of the heading."""
    numeric = [c for c in range(len(words)) if all(as_number(row[c]) is not None for row in body)]
    texts = [c for c in range(len(words)) if c not in numeric]
    called = [c for c in texts or numeric if words[c] in NAME_WORDS]
    name = texts[0] if len(texts) == 1 else called[0] if len(called) == 1 else None
    if name is None:
        raise UnclearError(line, "which column holds the names? Keep that of the numbers and that of the names")
    padded = [c for c in texts if words[c] in NUMBER_WORDS and all(re.fullmatch(r"[\d.+-]+", row[c]) for row in body)]
    rest = [c for c in numeric if c != name and words[c] not in COUNT_WORDS]
    numbers = [c for c in rest if words[c] in NUMBER_WORDS] or rest
    unlike = len({tuple(row[c] for row in body) for c in numbers}) > 1
    counts = numbers and words[numbers[0]] not in NUMBER_WORDS and not _runs(body, numbers[0], name)
    if padded or unlike or counts:
        raise UnclearError(line, "which column holds the classes' numbers? Keep it and that of the names")
    return name, numbers[0] if numbers else None


def _runs(body: list[list[str]], column: int, name: int) -> bool:
    """Tell whether untitled numbers count classes, not images: they stand first, or begin at 0, or run."""
    numbers = {int(row[column]) for row in body}
    return column < name or min(numbers) == 0 or numbers == set(range(1, len(body) + 1))
