"""Decides which column of a list holds the path, the label, the split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from eyas.data.images.formats import is_image
from eyas.data.lists.shape import LABEL_NAMES, NO_PATHS, PATH_NAMES, Exists, is_number, path_columns, plain_words
from eyas.data.lists.splits import MINUS, NO, SPLITS, YES, flag_of, may_name_split, meanings, names_split, titled_split
from eyas.errors import DataError, suggest

KEY = 8  # so many lines, each with another label: that column is a key, unless it was asked for
_SHOWN = 8  # columns that a message names
_LIKELY = frozenset(
    ("dx", "diagnosis", "cls", "emotion", "type", "kind", "variety", "genus", "name", "finding", "findinglabels")
)


@dataclass(frozen=True)
class Roles:
    """The column of the paths, that of the labels (None: the folders are the classes), that of the splits.

    `hot` are columns that mark each line's class by a 1, instead of a column of labels; `splits` one or several so.
    """

    path: int
    label: int | None = None
    splits: tuple[int, ...] = ()
    hot: tuple[int, ...] = ()

    @property
    def used(self) -> set[int | None]:
        return {self.path, self.label, *self.splits, *self.hot}


@dataclass(frozen=True)
class Sample:
    """The first rows of a list, stripped, and its header's cells (none where it has no header).

    `differ` tells of a column whether all its cells differ, also those behind these rows.
    """

    source: Path
    rows: list[list[str]]
    names: tuple[str, ...]
    differ: Callable[[int], bool]

    @cached_property
    def values(self) -> list[list[str]]:
        """The different cells of each column, in their order."""
        return [list(dict.fromkeys(column)) for column in zip(*self.rows, strict=True)]

    def title(self, column: int) -> str:
        """Return what the header calls a column, "" where nothing does."""
        return self.names[column] if self.names else ""

    def named(self, words: frozenset[str], without: int | None = None) -> list[int]:
        """Return the columns whose header is one of some plain words."""
        return [c for c, word in enumerate(plain_words(self.names)) if word in words and c != without]

    def told(self, columns: Sequence[int]) -> str:
        """Return columns for a message: name or number, and some of the values: `dx (nv, mel), 3 (40.0)`."""
        parts = []
        for column in columns[:_SHOWN]:
            some = [value if len(value) <= 24 else f"{value[:24]}..." for value in self.values[column][:3]]
            more = ", ..." * (len(self.values[column]) > 3)
            parts.append(f"{self.title(column) or column} ({', '.join(some)}{more})")
        return ", ".join(parts) + f" and {len(columns) - _SHOWN} more" * (len(columns) > _SHOWN)

    def told_of(self, roles: Roles) -> tuple[str, ...]:
        """Return notes on where labels come from that no column holds, and on the columns that are not used."""
        notes: tuple[str, ...] = ()
        if roles.hot:
            titles = ", ".join(map(self.title, roles.hot))
            notes += (f"the columns {titles} hold a 1 for each line's class: their headers are the classes",)
        elif roles.label is None:
            notes += ("no column holds labels: the name of each image's folder is its class",)
        if unused := [column for column in range(len(self.rows[0])) if column not in roles.used]:
            notes += (f"not used: the column{'s' * (len(unused) > 1)} {self.told(unused)}",)
        return notes

    def flag(self, **roles: int | Sequence[int]) -> str:
        """Return the flag that says what some columns are: `--columns path=image_id,label=dx`."""

        def spelled(column: int) -> str:
            name = self.title(column)
            clear = not name.isdigit() and name not in ("", "folder", "none") and not set(name) & set(",=+\"'`$\\!")
            return name if clear and self.names.count(name) == 1 else str(column)

        chosen = {role: [columns] if isinstance(columns, int) else columns for role, columns in roles.items()}
        text = ",".join(f"{role}={'+'.join(map(spelled, columns))}" for role, columns in chosen.items())
        return f'--columns "{text}"' if " " in text else f"--columns {text}"

    def numeric(self, column: int) -> bool:
        return all(map(is_number, self.values[column]))

    def key(self, column: int) -> bool:
        """Tell whether all cells of a column differ, in a list that is long enough to tell."""
        return len(self.rows) >= KEY and not self.repeats(column)

    def repeats(self, column: int) -> bool:
        """Tell whether a cell of a column occurs twice."""
        return len(self.values[column]) < len(self.rows) or not self.differ(column)

    def marks(self, column: int) -> bool:
        """Tell whether a column holds 1 and 0 only, or 1 and -1."""
        return set(self.values[column]) <= YES | NO or set(self.values[column]) <= YES | MINUS

    def one_each(self, columns: Sequence[int]) -> bool:
        """Tell whether exactly one of some columns holds a 1 in each row."""
        return all(sum(row[c] in YES for c in columns) == 1 for row in self.rows)

    def counted(self, column: int) -> bool:
        """Tell whether a column holds numbers as of classes: without gaps from 0 or 1, not all different."""
        found = {value.removesuffix(".0") for value in self.values[column]}
        whole = any(found == set(map(str, range(start, start + len(found)))) for start in (0, 1))
        return whole and len(found) > 1 and self.repeats(column)

    def alike(self, one: int, other: int) -> bool:
        """Tell whether two columns tell the same groups apart."""
        pairs = {(row[one], row[other]) for row in self.rows}
        return len(pairs) == len(self.values[one]) == len(self.values[other])


def choose(sample: Sample, asked: dict[str, str], exists: Exists, *, labels: bool) -> Roles:
    """Return which column holds what; with `labels=False` the paths' only.

    Raises `DataError` where more than one would do: it names them, some of their values, and the flag that decides.
    """
    path = _asked(sample, "path", asked["path"])[0] if "path" in asked else _path(sample, exists, labels)
    roles, titled = Roles(path), list[int]()
    if not labels:
        return roles
    if "label" in asked:
        chosen = () if asked["label"] == "folder" else _asked(sample, "label", asked["label"])
        roles = replace(roles, label=chosen[0]) if len(chosen) == 1 else replace(roles, hot=chosen)
    else:  # a y beside an x is a place in the picture
        names = [name.casefold() for name in sample.names]
        titled = [c for c in sample.named(LABEL_NAMES, without=path)
                  if plain_words([names[c]]) != ["y"] or (names[c] == "y" and "x" not in names)]  # fmt: skip
        roles = replace(roles, label=titled[0] if len(titled) == 1 else None)
    if "split" not in asked:  # the column that names the split by its words, or those that mark the lines of one each
        free = [(c, values) for c, values in enumerate(sample.values) if c not in roles.used]
        found = [c for c, values in free if names_split(sample.title(c), values)]
        marks = [c for c, values in free if flag_of(sample.title(c), values)]
        if len(marks) > 1 and set(found) <= set(marks) and _flags(sample, marks):
            found = marks
        elif len(found) > 1:
            raise DataError(
                f"{sample.source}: each of the columns {sample.told(found)} may name the split. "
                f"Say which: {sample.flag(split=found[0])}, or --columns split=none to read all lines."
            )
        roles = replace(roles, splits=tuple(found))
    elif asked["split"] != "none":
        roles = replace(roles, splits=_asked(sample, "split", asked["split"]))
    if "label" not in asked and roles.label is None:
        untitled = (c for c in range(len(sample.rows[0])) if not titled_split(sample.title(c)))
        left = [c for c in titled or untitled if c not in roles.used]
        label, hot = _label(sample, left, path)
        roles = replace(roles, label=label, hot=hot)
    for column, values in enumerate(sample.values) if "split" not in asked and not roles.splits else ():
        title = sample.title(column)
        if column not in roles.used and may_name_split(title, values):
            known = set(meanings(title, values).values()) <= set(SPLITS)
            remedy = f"{sample.flag(split=column)} uses it" if known else "Write train, val or test in it"
            raise DataError(
                f"{sample.source}: the column {sample.told([column])} may say which lines are for training. "
                f"{remedy}; --columns split=none reads all lines."
            )
    return roles


def _asked(sample: Sample, key: str, value: str) -> tuple[int, ...]:
    """Return the column of a number or a name; of several, joined by +, for columns that hold a 1 each."""
    place = f"{sample.source}: --columns {key}={value}:"
    width = len(sample.rows[0])
    ways: list[Callable[[str], str]] = [str, str.casefold]  # written so, else in other capitals, else with other signs
    if plain_words([value])[0] and not value.isdigit():
        ways.append(lambda name: plain_words([name])[0])
    alike = ([c for c, name in enumerate(sample.names) if way(name) == way(value)] for way in ways)
    found = next(filter(None, alike), [])
    if len(found) > 1:
        raise DataError(f"{place} the columns {', '.join(map(str, found))} have this name. Give the number instead.")
    if found:
        return tuple(found)
    if key != "path" and "+" in value:
        parts = [_asked(sample, key, part.strip())[0] for part in value.split("+")]
        if not sample.names:
            raise DataError(f"{place} no header names what these columns mark.")
        if key == "split" and not _flags(sample, parts):
            raise DataError(f"{place} each of these must hold a yes or no (1, 0) under a split's name, such as is_val.")
        return tuple(parts)
    if value.isdigit():
        if int(value) < width:
            return (int(value),)
        raise DataError(f"{place} the list has columns 0 to {width - 1}.")
    if not sample.names:
        raise DataError(f"{place} no header names the columns: the first line has not as many cells as the others.")
    near = suggest(value, sample.names) or f" It has {', '.join(sample.names[:20])}."
    raise DataError(f"{place} the list has no column of this name.{near}")


def _path(sample: Sample, exists: Exists, labels: bool) -> int:
    found, width = path_columns(sample.rows, exists), len(sample.rows[0])
    if width == 1 or len(found) == 1:
        return found[0] if found else 0
    named = sample.named(PATH_NAMES)
    if len(named) == 1 and (not found or named[0] in found):
        return named[0]
    # the label 1 is a file's name too, where there is a 1.png
    different = [c for c in found if len(sample.values[c]) == len(sample.rows)]
    if labels and len(different) == 1 and not any(is_image(sample.rows[0][c]) for c in found):
        return different[0]
    if not found and [sample.numeric(c) for c in range(width)] == [False, True]:
        return 0
    if not found:
        raise DataError(f"{sample.source}: {NO_PATHS}")
    raise DataError(
        f"{sample.source}: any of the columns {sample.told(found)} may hold the paths. "
        f"Say which, such as {sample.flag(path=found[0])}."
    )


def _flags(sample: Sample, columns: Sequence[int]) -> bool:
    """Tell whether some columns mark the lines of a split each, of different ones."""
    splits = [flag_of(sample.title(c), sample.values[c]) for c in columns]
    return all(splits) and len(set(splits)) == len(splits)


def _label(sample: Sample, left: list[int], path: int) -> tuple[int | None, tuple[int, ...]]:
    """Return the column of the labels: the only one, the only text, the only number that repeats; or those of marks."""
    left = [c for c in left if any(sample.values[c])]  # behind a last comma stands nothing
    texts = [c for c in left if not sample.numeric(c) and not sample.key(c)]
    counted = [c for c in left if sample.counted(c) and not sample.marks(c)]
    marks = [c for c in left if sample.marks(c)]
    if sample.one_each(some := [c for c in marks if not set(sample.values[c]) <= YES]):
        marks = some  # a weight of 1 on every line is no class
    texts = [c for c in texts if len(marks) < 2 or c not in marks]  # pandas's True and False
    if len(left) <= 1:
        return next(iter(left), None), ()
    if len(marks) > 1 and not texts:
        if sample.names and not counted:
            return None, tuple(marks)
        if not sample.names and sample.one_each(marks):
            raise DataError(
                f"{sample.source}: the columns {sample.told(marks)} hold one 1 on each line (one-hot), "
                "and no header names the classes. Add a first line with the names of the columns."
            )
    shares = [c for c in left if sample.numeric(c) and all(0 <= float(value) <= 1 for value in sample.values[c])]
    sums = [sum(float(row[c]) for c in shares) for row in sample.rows]
    whole = texts or len(shares) < 2 or all(map(sample.marks, shares))
    if not whole and all(0.98 <= total <= 1.02 for total in sums):
        raise DataError(
            f"{sample.source}: the columns {sample.told(shares)} hold shares that add up to 1 on each line "
            "(soft labels). eyas learns one class for each image: write it in one column."
        )
    rivals = [c for c in counted if sample.names and not any(sample.alike(c, text) for text in texts)]
    hot = tuple(marks) if sample.names and len(marks) > 1 and sample.one_each(marks) else ()
    if len(texts) == 1 and not rivals and not hot:
        return texts[0], ()
    if not texts and not hot and len(repeating := [c for c in left if sample.repeats(c)]) == 1:
        return repeating[0], ()  # an index never repeats
    able = [c for c in left if not sample.key(c)] or left
    likely = [c for c in able if plain_words([sample.title(c)])[0] in _LIKELY]
    likely += [c for c in able if 1 < len(sample.values[c]) <= len(sample.rows) / 2]
    remedy = sample.flag(path=path, label=likely[0] if likely else able[0])
    if hot:
        remedy += f" or {sample.flag(path=path, label=hot)}"
    if not sample.names and not any(map(sample.numeric, able)):
        remedy += ". If they are one label of several words, put it in quotation marks"
    told = f"{sample.source}: any of the columns {sample.told(able)} may hold the labels"
    raise DataError(f"{told}. Say which, such as {remedy}.")
