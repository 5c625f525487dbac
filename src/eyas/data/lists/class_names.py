"""Reads a file of class names in any common form, with their numbers."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from eyas.data.lists.class_markup import Entry, UnclearError, as_number, is_markup, read_markup
from eyas.data.lists.shape import plain_words
from eyas.errors import DataError
from eyas.files.reading import read_file

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

LONGEST_NAME = 1000  # letters of a class name
LARGEST_NAMES = 1 << 26  # bytes of a file of class names
_BETWEEN = r"([:=\uff1a\uff0c\u3001]\s*|\s+(?:[-:=]|[-=]>|\u2192)\s+|[.)]?\s+)"  # also full-width signs: 0\uff1acat
_NUMBERED = re.compile(rf"(?P<number>-?\d{{1,18}}){_BETWEEN}(?P<name>\S.*)")
_NUMBERED_AFTER = re.compile(rf"(?P<name>\S.*?){_BETWEEN}(?P<number>-?\d{{1,18}})")
_LEADING = re.compile(r"[(\[]?(\d{1,9})(?=\D)")
_SETTING = re.compile(r"[A-Za-z_]\w*\s*=\s*\S.*")
_COMMENT = re.compile(r"#+\s|##+$|#!")
_ODD = re.compile(r"#|//|.*\s#|.*[\[{(]$|[\])}]+[,;]?$|</?\w[^<>]*>$")  # comments of other kinds, code, markup
_QUOTE = "put a name in quotation marks if the number belongs to it"

Line = tuple[int, str]  # its number, its text
Row = tuple[int, list[str]]


@dataclass(frozen=True)
class ClassNames:
    """The names that a class file gives; `numbers` are what lists call them, where the file says so.

    `heading` is a first line that may be a heading or a class: a list's labels decide. Raises `DataError` for names
    given twice.
    """

    source: Path
    names: tuple[str, ...]
    numbers: tuple[int, ...] | None = None
    heading: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        twice = next((name for name, count in Counter(self.names).items() if count > 1), None)
        if twice is not None:
            raise DataError(f"{self.source}: the class {twice!r} is named twice.")


def read_class_names(path: Path) -> ClassNames:
    """Read a file of class names: a line each, with or without its number; CSV; JSON; YAML with `names:`.

    Raises `DataError` naming the line for what may be meant in two ways, for names and numbers given twice, and for
    text that is not UTF-8.
    """
    data, suffix = read_file(path, LARGEST_NAMES), path.suffix.lower()
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        heading, notes = "", list[str]()
        entries = read_markup(text, suffix) if is_markup(text, suffix) else []
        if not entries:
            heading, entries = _from_lines(text, suffix, notes)
        told = tuple(f"{path.name}: {note}" for note in notes)
        if not entries:
            raise DataError(f"{path}: names no class. It needs one name per line.")
        seen: dict[str | int, int] = {}
        for line, name, number in entries:
            if not name:
                raise UnclearError(line, "a class without a name")
            if len(name) > LONGEST_NAME:
                raise UnclearError(line, too_long(name))
            if any("\ud800" <= letter <= "\udfff" for letter in name):
                raise UnclearError(line, "the name of the class is not UTF-8 text")
            for given, what in ((name, f"the class {name!r} is named"), (number, f"the number {number} is given")):
                if given is not None and given in seen:
                    raise UnclearError(line, f"{what} twice{f': in line {seen[given]} too' * (seen[given] != line)}")
                if given is not None:
                    seen[given] = line
        if entries[0].number is None:
            names = tuple(entry.name for entry in entries)
            numbers = tuple(number for name in names if (number := as_number(name)) is not None)
            # names that are numbers themselves, and count on by one from line to line, are their own numbers
            counted = bool(numbers) and numbers == tuple(range(numbers[0], numbers[0] + len(names)))
            return ClassNames(path, names, numbers if counted else None, heading, told)
        ordered = sorted((number, name) for _, name, number in entries if number is not None)
        numbers, names = tuple(number for number, _ in ordered), tuple(name for _, name in ordered)
        return ClassNames(path, names, numbers, heading, told)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: the class names are not UTF-8 text. Save the file again as UTF-8.") from None
    except UnclearError as error:
        raise DataError(f"{path}:{error}") from None


def too_long(name: str) -> str:
    """Return what is wrong with a name of too many letters."""
    return f"the class name has {len(name):,} letters; it may have {LONGEST_NAME:,}"


def _from_lines(text: str, suffix: str, notes: list[str]) -> tuple[str, list[Entry]]:
    """Return what may be a heading, and the classes of a text that is neither JSON nor YAML."""
    lines: list[Line] = []
    between, empty, comments = 0, 0, 0  # `between` is the first empty line that stands between two others
    for number, line in enumerate(map(str.strip, text.split("\n")), 1):
        if len(line) > LONGEST_NAME:
            raise UnclearError(number, too_long(line))
        if not line:
            empty = empty or (number if lines else 0)
        elif _COMMENT.match(line) or (line == "#" and empty < 0):
            comments, empty = comments + 1, -1
        elif line[0] not in "\"'" and _ODD.match(line):
            raise UnclearError(
                number, f"{line!r} is no class name: a comment is a line of its own that begins with '# '; "
                "a name that holds such signs stands in quotation marks"
            )  # fmt: skip
        else:
            between, empty = between or max(empty, 0), 0
            lines.append((number, line))
    if comments:
        notes.append(f"{comments} comment line{'s' * (comments > 1)} left out")
    if not lines:
        return "", []
    rows = _table(lines, suffix)
    if rows is None:
        ended = [text[-1] in ",;" for _, text in lines]  # all of them may be, the last one perhaps not
        if not all(ended[:-1]) and any(ended):
            raise UnclearError(lines[ended.index(True)][0], "the line ends with a separator, and others do not")
        lines = [(line, text.rstrip(",; ")) for line, text in lines] if len(lines) > 1 else lines
        heading, entries = _numbered(lines, notes) or _one_a_line(lines)
    elif len(rows[0][1]) == 1:
        heading, entries = _one_a_line([(line, cells[0]) for line, cells in rows])
    else:
        heading, entries = "", _from_table(rows, notes)
    if between and entries[0].number is None:
        raise UnclearError(between, "an empty line between two classes: delete it, or number the lines (0 cat)")
    return heading, entries


def _numbered(lines: list[Line], notes: list[str]) -> tuple[str, list[Entry]] | None:
    """Return the classes of lines that have a number before or after the name; None where it belongs to the name."""
    for pattern in (_NUMBERED, _NUMBERED_AFTER):
        found = [pattern.fullmatch(line) for _, line in lines]
        fits = [match for match in found if match]
        if 2 * len(fits) <= len(lines) or (len(fits) > 1 and len({match["name"] for match in fits}) == 1):
            continue
        first, signs = pattern is _NUMBERED, all(match[2].strip() for match in fits)
        low, others = min(int(match["number"]) for match in fits), found[0] is None and None not in found[1:]
        heading = others and bool(set(plain_words(re.split(r"[\s,;:]+", lines[0][1]))) & (NAME_WORDS | NUMBER_WORDS))
        if low not in (-1, 0, 1) and not (first and signs) and not heading:
            if None not in found and (first or signs):
                raise UnclearError(lines[0][0], f"are these numbers those of the classes? Write '5: cat'; {_QUOTE}")
            continue
        heading = heading or (others and low == 0 and len(fits) > 1)  # no number is left for the first line
        if heading:
            notes.append(f"its first line is a heading: {lines[0][1]}")
        entries = []
        for (line, text), match in list(zip(lines, found, strict=True))[heading:]:
            if match is None or as_number(match["number"]) is None:
                how = "is written with a leading zero" if match else "is missing, while the other lines have one"
                raise UnclearError(line, f"{text!r}: the number of the class {how}; {_QUOTE}")
            entries.append(Entry(line, match["name"].strip(), int(match["number"])))
        return "", _without_quotes(entries)
    return None


def _one_a_line(lines: list[Line]) -> tuple[str, list[Entry]]:
    if len(lines) == 1 and re.search(r"[,;\t]", lines[0][1]):
        raise UnclearError(lines[0][0], "all names in one line? Write one name per line")
    middle = [int(words[1]) if len(words := text.split()) > 2 and words[1].isdecimal() else -1 for _, text in lines]
    low = min(middle)
    if low in (0, 1) and sorted(middle) == list(range(low, low + len(lines))) and len(lines) > 1:
        raise UnclearError(lines[0][0], "three columns, the number in the middle: keep the number and the name (0 cat)")
    found = [_LEADING.match(text) for _, text in lines]  # 0-cat, 0_cat, (0) cat
    numbers = [int(match[1]) for match in found if match]
    counted = list(range(min(numbers, default=0), min(numbers, default=0) + len(lines)))
    if len(numbers) == len(lines) and counted[0] in (0, 1) and sorted(numbers) == counted != numbers:
        what = f"{lines[0][1]!r}: are the numbers in the names those of the classes? Write '0 cat'"
        raise UnclearError(lines[0][0], f"{what}, else {_QUOTE}")
    if len(lines) > 1 and all(_SETTING.fullmatch(text) for _, text in lines):
        raise UnclearError(lines[0][0], "settings (name = value), no class names: write one name per line")
    word, quoted = plain_words([lines[0][1]])[0], [text[:1] in "\"'" for _, text in lines]
    doubtful = len(lines) > 1 and word in NAME_WORDS | {"id", "index"} and (not quoted[0] or all(quoted))
    entries = _without_quotes([Entry(line, text) for line, text in lines])
    return (entries[0].name, entries[1:]) if doubtful else ("", entries)


def _without_quotes(entries: list[Entry]) -> list[Entry]:
    """Return the names without quotation marks: double ones anywhere, single ones where all names have them."""
    single = [len(name) > 2 and name[0] == name[-1] == "'" for _, name, _ in entries]
    found = []
    for (line, name, number), one in zip(entries, single, strict=True):
        whole = re.fullmatch(r'"((?:[^"]|"")*)"', name)
        if (name[:1] == '"' and whole is None) or (one and not all(single)):
            raise UnclearError(line, f"{name}: quotation marks stand around a whole name, single ones around all")
        text = whole[1].replace('""', '"') if whole else name[1:-1] if one else name
        found.append(Entry(line, text.strip(), number))
    return found


# Tables.


def _table(lines: list[Line], suffix: str) -> list[Row] | None:
    """Return the cells of a table; None where the lines are not surely one: names may hold commas."""
    odd = None
    for separator in TABLES.get(suffix, "\t;,"):
        if not any(separator in line for _, line in lines):
            continue
        try:
            cut = (csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True) for _, line in lines)
            rows = [(number, [*map(str.strip, next(row))]) for (number, _), row in zip(lines, cut, strict=True)]
        except csv.Error:  # a quotation mark that is closed before another separator, or not at all
            continue
        widths, (_, first), body = Counter(len(row) for _, row in rows), rows[0], rows[1:] or rows
        # lines of any text are a table by tabs, by a heading, by a column of numbers at one side
        headed = len(first) > 1 and {*plain_words(first)} & (NAME_WORDS | NUMBER_WORDS)
        numbered = any(all(len(row) > 1 and as_number(row[side]) is not None for _, row in body) for side in (0, -1))
        tabbed = separator == "\t" and all(len(row) > 1 for _, row in rows)
        if max(widths) == 1 or not (suffix in TABLES or headed or numbered or tabbed):
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


def _from_table(rows: list[Row], notes: list[str]) -> list[Entry]:
    """Return the classes of a table, with or without a heading: a column holds their names, one may hold numbers."""
    first, width = rows[0][1], range(len(rows[0][1]))
    words, body = plain_words(first), [row for _, row in rows[1:]]
    below = [all(as_number(row[c]) is not None for row in body) for c in width]
    fits = any(below[c] and as_number(first[c]) is not None for c in width)
    heading = bool(body) and not fits and (any(below) or bool(set(words) & (NAME_WORDS | NUMBER_WORDS)))
    if heading:
        notes.append(f"its first line is a heading: {', '.join(first)}")
        rows = rows[1:]
    else:
        words, body = [""] * len(words), [row for _, row in rows]
    numeric = [c for c in width if all(as_number(row[c]) is not None for row in body)]
    texts = [c for c in width if c not in numeric]
    called = [c for c in texts or numeric if words[c] in NAME_WORDS]
    if len(texts) != 1 and len(called) != 1:
        told = "which column holds the names? Keep that of the numbers and that of the names"
        raise UnclearError(rows[0][0] - heading, told)
    name = texts[0] if len(texts) == 1 else called[0]
    padded = [c for c in texts if words[c] in NUMBER_WORDS and all(re.fullmatch(r"[\d.+-]+", row[c]) for row in body)]
    rest = [c for c in numeric if c != name and words[c] not in COUNT_WORDS]
    numbers = [c for c in rest if words[c] in NUMBER_WORDS] or rest
    unlike = len({tuple(row[c] for row in body) for c in numbers}) > 1
    untitled = numbers and words[numbers[0]] not in NUMBER_WORDS and numbers[0] > name
    found = {int(row[numbers[0]]) for row in body} if untitled else {0}
    # numbers without a title may count images: those of classes stand first, or begin at 0, or run
    if padded or unlike or (min(found) != 0 and found != set(range(1, len(body) + 1))):
        told = "which column holds the classes' numbers? Keep it and that of the names"
        raise UnclearError(rows[0][0] - heading, told)
    unused = [(heading and first[c]) or f"number {c}" for c in width if c not in (name, *numbers[:1])]
    if unused:
        notes.append(f"column{'s' * (len(unused) > 1)} not used: {', '.join(unused)}")
    return [Entry(line, row[name], int(row[numbers[0]]) if numbers else None) for line, row in rows]
