"""Reads a list file: images and labels, with every problem reported by line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from eyas.data.images.packed import Coded, Ints, PackedStrings
from eyas.data.lists.cells import list_text
from eyas.data.lists.class_names import ClassNames, read_class_names
from eyas.data.lists.columns import Table, read_table, split_names
from eyas.data.lists.labels import MISSING, read_labels, without_images
from eyas.data.lists.paths import REPORTED, Folders, Problems, Root, folder_names, tidy_paths
from eyas.data.lists.spelling import find_files
from eyas.errors import DataError

_ANOTHER_LABEL = "has another label in line"
SHOWN = 10  # problems that a report shows before it counts the rest
REASON = 300  # letters of a reason that a report shows


@dataclass(frozen=True, eq=False)
class Listing:
    """The images of a list and their labels.

    `paths` are relative to `root`, or absolute; `labels` int64 [N] index into `classes`; `lines` int32 [N]
    count from 1; `sizes` int64 [N] are bytes (0 before the files were looked at). `named` is False where
    labels are bare numbers; `ordered` tells that the classes' order was given, not sorted; `notes` are
    sentences for the user; `first` is the number that bare numbers count from, where it was asked for.
    """

    source: str
    paths: PackedStrings
    labels: Ints
    classes: tuple[str, ...]
    named: bool
    lines: NDArray[np.int32]
    root: Path
    sizes: Ints
    ordered: bool = False
    notes: tuple[str, ...] = ()
    first: int | None = None


class How(TypedDict, total=False):
    """How a list is read, as the flags of these names say."""

    root: str | Path | None
    classes: str | Path | ClassNames | None
    columns: str | None
    first_label: str
    outside_root: bool


def read_listing(path: str | Path, *, split: str | None = None, **how: Unpack[How]) -> Listing:
    """Read a list file and look at each file it names; `split` keeps one split, where a column names it.

    Raises `DataError` with every problem and its line: meaningless labels, missing files, files that are no
    regular ones or lie outside the root (unless `outside_root` allows it), an image with two labels.
    """
    listing, problems = _looked_at(path, split, **how)
    report(listing.source, problems, more=max(0, int(np.count_nonzero(listing.sizes < 0)) - REPORTED))
    absent = without_images(listing.source, listing.classes, listing.labels)
    return replace(listing, notes=listing.notes + absent)


def read_usable(path: str | Path, *, split: str | None = None, **how: Unpack[How]) -> tuple[Listing, Problems]:
    """Return what can be used of a list file, and all problems of the rest.

    An image with two labels stays, with each of them. Raises `DataError` where no line can be used.
    """
    listing, problems = _looked_at(path, split, **how)
    sizes = listing.sizes
    left_out = [line for line, reason in problems if _ANOTHER_LABEL not in reason]
    rows = np.flatnonzero((sizes >= 0) & ~np.isin(listing.lines, np.array(left_out, np.int64)))
    untold = int(np.count_nonzero(sizes < 0)) - REPORTED
    if untold > 0:
        problems.append((int(listing.lines[sizes < 0][REPORTED]), f"and {untold - 1:,} more cannot be read either"))
    if not len(rows):
        report(listing.source, problems)
    return replace(
        listing, paths=listing.paths.take(rows), labels=listing.labels[rows], lines=listing.lines[rows],
        sizes=sizes[rows],
    ), problems  # fmt: skip


def _looked_at(
    path: str | Path, split: str | None, *, root: str | Path | None = None, columns: str | None = None,
    classes: str | Path | ClassNames | None = None, first_label: str = "auto", outside_root: bool = False,
) -> tuple[Listing, Problems]:  # fmt: skip
    """Return a list's images with their sizes, and with their files' names where the list spells these otherwise."""
    if classes is None:
        beside = Path(path).with_name("classes.txt")
        classes = beside if beside.is_file() and beside != Path(path) else None
    names = classes if classes is None or isinstance(classes, ClassNames) else read_class_names(Path(classes))
    listing, problems = parse_listing(
        path, root=root, names=names, columns=columns, first_label=first_label, split=split, outside_root=outside_root
    )
    paths, sizes, notes = find_files(listing.paths, listing.lines, Root(listing.root, outside_root), problems)
    return replace(listing, paths=paths, sizes=sizes, notes=listing.notes + notes), problems


def parse_listing(
    path: str | Path, *, root: str | Path | None = None, names: ClassNames | None = None, columns: str | None = None,
    first_label: str = "auto", split: str | None = None, outside_root: bool = False,
) -> tuple[Listing, Problems]:  # fmt: skip
    """Read a list file without looking at the files it names; return it with its problems."""
    source = Path(path)
    folders = Folders.of(source, root, outside=outside_root)
    if not folders.root.folder.is_dir():
        raise DataError(f"{folders.root}: there is no such folder for the paths of {source} (--root).")
    table = read_table(list_text(source), source, columns=columns, exists=folders.have)
    key = "" if names is not None else table.key
    if key and split == "train":  # in a test set one image of each class is no wonder, and its classes are matched
        raise DataError(f"{source}: {key}")
    problems = list(table.problems)
    table, notes = _of_split(table, split, source)
    if not table.paths:
        report(str(source), problems)
    folder, moved = folders.that_has(table.paths)
    paths, more = tidy_paths(table.paths, folder)
    notes += moved + (key,) * bool(key and split is None)
    # a folder called None is a class: only cells can be empty
    coded, missing = table.labels, MISSING
    if coded is None:
        other = "; the column of words such as train and test is taken for the split" if table.splits else ""
        coded, missing = _folder_labels(source, paths, table.lines, other, problems), frozenset()
    labels = read_labels(coded, table.lines, names, first_label, problems, missing)
    notes += more + labels.notes + _repeats(paths, labels.numbers, table.lines, problems)
    return Listing(
        str(source), paths, labels.numbers, labels.classes, labels.named, table.lines, folder.folder,
        np.zeros(len(paths), np.int64), labels.ordered, table.notes + notes, labels.first,
    ), problems  # fmt: skip


def report(source: str, problems: Problems, *, more: int = 0) -> None:
    """Raise `DataError` with a line for each of the first ten problems, if there are any; `more` were only counted."""
    if not problems:
        return
    shown = []
    for line, reason in sorted(problems)[:SHOWN]:
        short = f"{reason[: REASON // 2]} ... {reason[-REASON // 2 :]}" if len(reason) > REASON else reason
        shown.append(f"{source}:{line}: {short}")
    if len(problems) + more > SHOWN:
        shown.append(f"... and {len(problems) + more - SHOWN} more problems in {source}")
    raise DataError("\n".join(shown))


def listed_splits(path: str | Path, *, root: str | Path | None = None, columns: str | None = None) -> tuple[str, ...]:
    """Return the splits that a list's own column names, sorted; none where it has no such column."""
    source = Path(path)
    return split_names(list_text(source), source, columns=columns, exists=Folders.of(source, root).have)


def _of_split(table: Table, split: str | None, source: Path) -> tuple[Table, tuple[str, ...]]:
    """Keep the lines whose split column says `split`; all lines where there is none, or none is asked for."""
    if table.splits is None:
        return table, ()
    numbers = np.bincount(table.splits.codes, minlength=len(table.splits.texts))
    counts = dict.fromkeys(sorted(table.splits.texts), 0)
    for name, number in zip(table.splits.texts, numbers.tolist(), strict=True):
        counts[name] += number
    if split is None:
        return table, (f"the column that names the split is not used: all lines are read ({_counted(counts)})",)
    rows = np.flatnonzero(np.array([name == split for name in table.splits.texts], bool)[table.splits.codes])
    if not len(rows):
        raise DataError(
            f"{source}: no line is of the split {split!r}; there are {_counted(counts)}. "
            "--columns split=none reads all lines."
        )
    labels = None if table.labels is None else table.labels.take(rows)
    chosen = replace(table, paths=table.paths.take(rows), labels=labels, lines=table.lines[rows])
    others = {name: count for name, count in counts.items() if name != split}
    more = f"; the others of {_counted(others)}" if others else ""
    return chosen, (f"{len(rows)} of {len(table.lines)} lines are of the split {split!r}{more}",)


def _counted(counts: dict[str, int]) -> str:
    """Return `test (3), train (8)`, the first ten of them."""
    return ", ".join(f"{name or repr(name)} ({count})" for name, count in [*counts.items()][:10])


def _folder_labels(
    source: Path, paths: PackedStrings, lines: NDArray[np.int32], other: str, problems: Problems
) -> Coded:
    """Return the name of each image's folder as its label; `other` is said beside what is missing.

    Raises `DataError` where no path has a folder.
    """
    names = folder_names(paths)
    if names.texts == [""]:
        raise DataError(
            f"{source}: has paths only: no column of labels, and no folder in a path that could name the class{other}. "
            "Training and measuring need labels; eyas predict does not."
        )
    if "" in names.texts:
        missing = f"there is no label, and no folder in the path that could name the class{other}"
        rows = np.flatnonzero(names.codes == names.texts.index(""))
        problems += [(line, missing) for line in lines[rows].tolist()]
    return Coded(names.codes, [text or "?" for text in names.texts])


def _repeats(paths: PackedStrings, numbers: Ints, lines: NDArray[np.int32], problems: Problems) -> tuple[str, ...]:
    """Report images that are listed with two labels; return a note on those listed twice with one."""
    keys = paths.hashes()
    ordered = np.sort(keys)
    alike = ordered[1:][ordered[1:] == ordered[:-1]]
    first, same = dict[str, int](), 0
    # by sorting: the table that numpy 2.0.0 would choose overflows
    for row in np.flatnonzero(np.isin(keys, alike, kind="sort")).tolist() if len(alike) else ():
        path = paths[row]
        earlier = first.setdefault(path, row)
        if numbers[row] != numbers[earlier]:
            problems.append((int(lines[row]), f"{path} {_ANOTHER_LABEL} {lines[earlier]}"))
        else:
            same += row != earlier
    return (f"{same} line{'s' * (same > 1)} repeat an image that is listed before",) if same else ()
