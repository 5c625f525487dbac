"""Which images files, folders and lists name, in their order: packed, not a Python object each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from eyas.data.listing import list_text, read_listing, report
from eyas.data.packed import PackedStrings
from eyas.data.paths import Problems, Root, file_sizes, tidy_paths
from eyas.data.shape import IMAGE_SUFFIXES
from eyas.data.walk import Walk
from eyas.errors import DataError

LISTS = frozenset({".txt", ".csv", ".tsv", ".lst"})


def files_in(
    paths: Sequence[str | Path], *, root: str | None = None, outside_root: bool = False, notes: list[str] | None = None
) -> PackedStrings:
    """Return the images that files, folders (with all below them, sorted) and list files name, in that order.

    What is left out below a folder is added to `notes`. Raises `DataError` for a path that does not exist, a folder
    without images and a folder that cannot be read.
    """
    return PackedStrings.of(_files_in(paths, root, outside_root, notes if notes is not None else []))


def _files_in(paths: Sequence[str | Path], root: str | None, outside_root: bool, notes: list[str]) -> Iterator[str]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from _images_below(path, notes)
        elif not path.exists():
            raise DataError(f"{path}: does not exist.")
        elif path.suffix.lower() in LISTS:
            yield from listed(path, root=root, outside_root=outside_root)
        else:
            yield str(path)


def _images_below(folder: Path, notes: list[str]) -> Iterator[str]:
    walk, empty = Walk(folder), True
    for name in walk.images():
        yield walk.place(name)
        empty = False
    if empty:
        but = f", but {words}" if (words := walk.left_out.in_words()) else ""
        raise DataError(f"{folder}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}){but}.")
    notes += walk.left_out.note(folder)


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
