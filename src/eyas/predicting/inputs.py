"""Which images files, folders and lists name, in their order: packed, not a Python object each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from eyas.config.data import LISTS, unread
from eyas.config.predict import PredictConfig
from eyas.data.images.formats import IMAGE_SUFFIXES
from eyas.data.images.packed import PackedStrings
from eyas.data.images.walk import Walk
from eyas.errors import DataError, SettingsError
from eyas.predicting.listed import Listed, joined, read_listed

_JSON = frozenset({".json", ".jsonl", ".ndjson"})


def images_in(paths: Sequence[str | Path], asked: PredictConfig) -> Listed:
    """Return the images that files, folders (with all below them, sorted) and list files name, in that order.

    What is left out below a folder is in its notes. Raises `DataError` for a path that does not
    exist, a folder without images and a folder that cannot be read, and what `read_listed` raises.
    """
    for path in map(str, paths):
        if re.match(r"\w\w+://", path):
            raise DataError(f"{path}: is an address: eyas reads files. Download it, and name the file.")
    parts: list[Listed] = []
    lists = 0

    def names_list(path: Path) -> bool:
        return path.suffix.lower() in LISTS and path.exists() and not path.is_dir()

    for is_list, some in groupby(map(Path, paths), names_list):
        if is_list:
            found = [read_listed(path, asked) for path in some]
            lists += len(found)
            parts += found
        else:
            notes: list[str] = []
            parts.append(Listed(PackedStrings.of(image_files(some, notes)), notes=tuple(notes)))
    if parts and not lists and (asked.columns is not None or asked.keep_columns is not None):
        flag = "--columns" if asked.columns is not None else "--keep-columns"
        raise SettingsError(f"{flag}: only lists ({', '.join(sorted(LISTS))}) have columns, and none is given.")
    whole = parts[0] if len(parts) == 1 else joined(parts)
    return whole if lists else replace(whole, notes=(*whole.notes, *unread(asked)))


def image_files(paths: Iterable[Path], notes: list[str]) -> Iterator[str]:
    """Yield the files, and the images below the folders; what is left out below a folder is added to `notes`."""
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: does not exist.")
        if path.suffix.lower() in _JSON:
            form = f"write the paths into a list ({', '.join(sorted(LISTS))}), one on each line"
            raise DataError(f"{path}: JSON is not read: {form}.")
        if not path.is_dir():
            yield str(path)
            continue
        walk, empty = Walk(path), True
        for name in walk.images():
            yield walk.place(name)
            empty = False
        if empty:
            but = f", but {words}" if (words := walk.left_out.in_words()) else ""
            raise DataError(f"{path}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}){but}.")
        notes += walk.left_out.note(path)
