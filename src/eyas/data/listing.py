"""A list file -> its images and labels, packed, with every problem it has reported by line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from eyas.data.columns import SPLIT_WORDS, Table, read_table
from eyas.data.labels import ClassNames, read_class_names, read_labels
from eyas.data.paths import PackedStrings, Problems, file_sizes, tidy_paths
from eyas.errors import DataError

SHOWN = 10  # problems that a report shows before it counts the rest


@dataclass(frozen=True, eq=False)
class Listing:
    """The images of a list and their labels.

    `paths` are relative to `root`, or absolute; `labels` int64 [N] index into `classes`; `lines` int32 [N]
    count from 1; `sizes` int64 [N] are bytes (0 before the files were looked at). `named` is False where
    labels are bare numbers; `ordered` tells that the classes' order was given, not sorted; `notes` are
    sentences for the user.
    """

    source: str
    paths: PackedStrings
    labels: np.ndarray
    classes: tuple[str, ...]
    named: bool
    lines: np.ndarray
    root: Path
    sizes: np.ndarray
    ordered: bool = False
    notes: tuple[str, ...] = ()


def read_listing(
    path: str | Path,
    *,
    root: str | Path | None = None,
    classes: str | Path | ClassNames | None = None,
    columns: str | None = None,
    first_label: str = "auto",
    split: str | None = None,
) -> Listing:
    """Read a list file and look at each file it names; `split` keeps one split, where a column names it.

    Raises `DataError` with every problem and its line: meaningless labels, missing files, paths that leave
    the root or are no regular files, an image with two labels.
    """
    names = _class_names(Path(path), classes)
    listing, problems = parse_listing(
        path, root=root, names=names, columns=columns, first_label=first_label, split=split
    )
    sizes = file_sizes(listing.paths, listing.lines, listing.root, problems)
    report(listing.source, problems)
    return replace(listing, sizes=sizes)


def parse_listing(
    path: str | Path,
    *,
    root: str | Path | None = None,
    names: ClassNames | None = None,
    columns: str | None = None,
    first_label: str = "auto",
    split: str | None = None,
) -> tuple[Listing, Problems]:
    """Read a list file without looking at the files it names; return it with its problems."""
    source = Path(path)
    folder = Path(root) if root is not None else source.parent
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder for the paths of {source} (--root).")
    table = read_table(_text(source), source, columns=columns, exists=lambda name: (folder / name).is_file())
    problems = list(table.problems)
    table, notes = _of_split(table, split, source)
    if not table.paths:
        report(str(source), problems)
    paths, more = tidy_paths(table.paths, table.lines, folder, problems)
    texts = table.labels if table.labels is not None else _folder_names(paths, table.lines, problems)
    labels = read_labels(texts, table.lines, names, first_label, problems)
    lines = np.array(table.lines, np.int32)
    notes += more + labels.notes + _repeats(paths, labels.numbers, lines, problems)
    empty = np.zeros(len(paths), np.int64)
    return Listing(
        str(source), PackedStrings.of(paths), labels.numbers, labels.classes, labels.named, lines, folder,
        empty, labels.ordered, table.notes + notes,
    ), problems  # fmt: skip


def report(source: str, problems: Problems) -> None:
    """Raise `DataError` with one line per problem, the first ten of them, if there are any."""
    if not problems:
        return
    ordered = sorted(problems)
    shown = [f"{source}:{line}: {reason}" for line, reason in ordered[:SHOWN]]
    if len(ordered) > SHOWN:
        shown.append(f"... and {len(ordered) - SHOWN} more problems in {source}")
    raise DataError("\n".join(shown))


def listed_splits(path: str | Path, *, root: str | None = None, columns: str | None = None) -> tuple[str, ...]:
    """Return the splits that a list's own column names, sorted; none where it has no such column."""
    source = Path(path)
    folder = Path(root) if root is not None else source.parent
    table = read_table(_text(source), source, columns=columns, exists=lambda name: (folder / name).is_file())
    return tuple(sorted({SPLIT_WORDS.get(word.lower(), word.lower()) for word in table.splits or ()}))


def _class_names(source: Path, given: str | Path | ClassNames | None) -> ClassNames | None:
    if isinstance(given, ClassNames):
        return given
    if given is not None:
        return read_class_names(Path(given))
    beside = source.with_name("classes.txt")
    return read_class_names(beside) if beside.is_file() and beside != source else None


def _text(source: Path) -> str:
    """Return the list's text; raises `DataError` naming the line that is not UTF-8."""
    if not source.is_file():
        reason = "is not a regular file" if source.exists() else "there is no such list"
        raise DataError(f"{source}: {reason}.")
    try:
        data = source.read_bytes()
    except OSError as error:
        raise DataError(f"{source}: cannot be read: {error.strerror}.") from None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{source}:1: the list is UTF-16 text. Save it again as UTF-8.")
    if (nul := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise DataError(f"{source}:{line}: a NUL byte: this is not a text file.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{source}:{line}: this line is not UTF-8 text. Save the list again as UTF-8.") from None


def _of_split(table: Table, split: str | None, source: Path) -> tuple[Table, tuple[str, ...]]:
    """Keep the lines whose split column says `split`; all lines where there is none, or none is asked for."""
    if table.splits is None:
        return table, ()
    words = [SPLIT_WORDS.get(word.lower(), word.lower()) for word in table.splits]
    if split is None:
        return table, ("the column that names the split is not used: all lines are read",)
    kept = [row for row, word in enumerate(words) if word == split]
    if not kept:
        raise DataError(f"{source}: no line is of the split {split!r}; there are {', '.join(sorted(set(words)))}.")
    chosen = replace(
        table,
        paths=[table.paths[row] for row in kept],
        labels=None if table.labels is None else [table.labels[row] for row in kept],
        lines=[table.lines[row] for row in kept],
    )
    return chosen, (f"{len(kept)} of {len(words)} lines are of the split {split!r}",)


def _folder_names(paths: list[str], lines: list[int], problems: Problems) -> list[str]:
    names = [path.rpartition("/")[0].rpartition("/")[2] for path in paths]
    missing = "there is no label, and no folder in the path that could name the class"
    problems += [(line, missing) for line, name in zip(lines, names, strict=True) if not name]
    return [name or "?" for name in names]


def _repeats(paths: list[str], numbers: np.ndarray, lines: np.ndarray, problems: Problems) -> tuple[str, ...]:
    """Report images that are listed with two labels; return a note on those listed twice with one."""
    if len(set(paths)) == len(paths):
        return ()
    seen: dict[str, int] = {}
    same = 0
    for row, path in enumerate(paths):
        first = seen.setdefault(path, row)
        if first != row and numbers[first] != numbers[row]:
            problems.append((int(lines[row]), f"{path} has another label in line {lines[first]}"))
        elif first != row:
            same += 1
    return (f"{same} line{'s' * (same > 1)} repeat an image that is listed before",) if same else ()
