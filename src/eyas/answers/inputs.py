"""Which images files, folders and lists name, in their order: packed, not a Python object each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from eyas.answers.listed import Listed, joined, read_listed
from eyas.answers.settings import PredictConfig
from eyas.data.packed import PackedStrings
from eyas.data.shape import IMAGE_SUFFIXES
from eyas.errors import DataError, SettingsError

LISTS = frozenset({".txt", ".csv", ".tsv", ".lst"})


@dataclass(slots=True)
class Hidden:
    """Counts what a folder holds under names that begin with a dot: images, and folders whatever is in them."""

    count: int = 0


def images_in(paths: Sequence[str | Path], asked: PredictConfig, hidden: Hidden | None = None) -> Listed:
    """Return the images that files, folders (with all below them, sorted) and list files name, in that order.

    What is hidden below a folder is left out and counted in `hidden`. Raises `DataError` for a path that does not
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
            parts.append(Listed(PackedStrings.of(_files_in(some, hidden or Hidden()))))
    if parts and not lists and (asked.columns is not None or asked.keep_columns is not None):
        flag = "--columns" if asked.columns is not None else "--keep-columns"
        raise SettingsError(f"{flag}: only lists ({', '.join(sorted(LISTS))}) have columns, and none is given.")
    return parts[0] if len(parts) == 1 else joined(parts)


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in LISTS and path.exists() and not path.is_dir()


def _files_in(paths: Iterable[Path], hidden: Hidden) -> Iterator[str]:
    for path in paths:
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
        else:
            yield str(path)


def images_below(folder: str, hidden: Hidden) -> Iterator[str]:
    """Yield the images in a folder and in those below it, in the order of their paths.

    Links to folders are left out, and what is hidden, which is counted. The names of one folder are in memory.
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
