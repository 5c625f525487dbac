"""Which images files, folders and lists name, in their order: packed, not a Python object each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from eyas.data.listing import list_text, read_listing, report
from eyas.data.packed import PackedStrings
from eyas.data.paths import Problems, Root, file_sizes, tidy_paths
from eyas.data.shape import IMAGE_SUFFIXES
from eyas.errors import DataError

LISTS = frozenset({".txt", ".csv", ".tsv", ".lst"})


@dataclass(slots=True)
class Hidden:
    """Counts what a folder holds under names that begin with a dot: images, and folders whatever is in them."""

    count: int = 0


def files_in(
    paths: Sequence[str | Path], *, root: str | None = None, outside_root: bool = False, hidden: Hidden | None = None
) -> PackedStrings:
    """Return the images that files, folders (with all below them, sorted) and list files name, in that order.

    What is hidden below a folder is left out and counted in `hidden`. Raises `DataError` for a path that does not
    exist, a folder without images and a folder that cannot be read.
    """
    return PackedStrings.of(_files_in(paths, root, outside_root, hidden or Hidden()))


def _files_in(paths: Sequence[str | Path], root: str | None, outside_root: bool, hidden: Hidden) -> Iterator[str]:
    for path in map(Path, paths):
        if path.is_dir():
            before = hidden.count
            below = images_below(str(path), hidden)
            first = next(below, None)
            if first is None:
                but = ", but for hidden ones" if hidden.count > before else ""
                raise DataError(f"{path}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}){but}.")
            yield first
            yield from below
        elif not path.exists():
            raise DataError(f"{path}: does not exist.")
        elif path.suffix.lower() in LISTS:
            yield from listed(path, root=root, outside_root=outside_root)
        else:
            yield str(path)


def images_below(folder: str, hidden: Hidden) -> Iterator[str]:
    """Yield the images in a folder and in those below it, in the order of their paths.

    Links to folders are left out, and what is hidden, which is counted. Of one folder at a time the names are in memory.
    """
    try:
        with os.scandir(folder) as entries:
            found = [name for entry in entries if (name := _wanted(entry))]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror or error}.") from error
    names = sorted(name for name in found if name[0] != ".")
    hidden.count += len(found) - len(names)
    for name in names:
        path = os.path.join(folder, name) if folder != "." else name  # noqa: PTH118 - a Path takes ten times as long
        if name[-1] == "/":  # sorted with it, folders and files come in the order of whole paths
            yield from images_below(path[:-1], hidden)
        else:
            yield path


def _wanted(entry: os.DirEntry[str]) -> str:
    """Return the name of an image, that of a folder with a slash, "" for what is neither."""
    if entry.is_dir(follow_symlinks=False):
        return f"{entry.name}/"
    return entry.name if entry.name.lower().endswith(IMAGE_SUFFIXES) and entry.is_file() else ""


def listed(path: Path, *, root: str | None = None, outside_root: bool = False) -> PackedStrings:
    """Return the images that a list file names: one path a line, or any list that `eyas train` reads.

    Raises `DataError` naming the lines of files that are not there, are no regular ones, or lie outside the
    root (unless `outside_root` allows it).
    """
    folder = Root(Path(root) if root else path.parent, outside_root)
    numbers: list[int] = []
    plain = PackedStrings.of(_lines(list_text(path), numbers))
    if not plain or not all(map(folder.has, plain)):
        listing = read_listing(path, root=root, outside_root=outside_root)
        return PackedStrings.of(str(listing.root / name) for name in listing.paths)
    problems: Problems = []
    paths, _ = tidy_paths(plain, folder)
    file_sizes(paths, np.array(numbers, np.int32), folder, problems)
    report(str(path), problems)
    return PackedStrings.of(str(folder.folder / name) for name in paths)


def _lines(text: bytes, numbers: list[int]) -> Iterator[str]:
    """Yield what the lines of a list say, comments and empty ones left out; add each one's number to `numbers`."""
    for number, line in enumerate(BytesIO(text), 1):
        said = line.decode().strip()
        if said and not line.startswith(b"#"):
            numbers.append(number)
            yield said
