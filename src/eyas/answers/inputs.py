"""Which images files, folders and lists name, in their order: packed, not a Python object each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from eyas.answers.listed import Listed, joined, read_listed
from eyas.answers.settings import PredictConfig
from eyas.data.packed import PackedStrings
from eyas.data.settings import LISTS, unread
from eyas.data.shape import IMAGE_SUFFIXES
from eyas.data.walk import Walk
from eyas.errors import DataError, SettingsError


def images_in(paths: Sequence[str | Path], asked: PredictConfig) -> Listed:
    """Return the images that files, folders (with all below them, sorted) and list files name, in that order.

    What is left out below a folder is in its notes. Raises `DataError` for a path that does not
    exist, a folder without images and a folder that cannot be read, and what `read_listed` raises.
    """
    parts: list[Listed] = []
    lists = 0
    for is_list, some in groupby(map(Path, paths), _is_list):
        if is_list:
            found = [read_listed(path, asked) for path in some]
            lists += len(found)
            parts += found
        else:
            notes: list[str] = []
            parts.append(Listed(PackedStrings.of(_files_in(some, notes)), notes=tuple(notes)))
    if parts and not lists and (asked.columns is not None or asked.keep_columns is not None):
        flag = "--columns" if asked.columns is not None else "--keep-columns"
        raise SettingsError(f"{flag}: only lists ({', '.join(sorted(LISTS))}) have columns, and none is given.")
    whole = parts[0] if len(parts) == 1 else joined(parts)
    return whole if lists else replace(whole, notes=(*whole.notes, *unread(asked)))


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in LISTS and path.exists() and not path.is_dir()


def _files_in(paths: Iterable[Path], notes: list[str]) -> Iterator[str]:
    for path in paths:
        if path.is_dir():
            yield from _images_below(path, notes)
        elif not path.exists():
            raise DataError(f"{path}: does not exist.")
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
