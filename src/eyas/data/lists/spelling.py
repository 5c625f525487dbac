"""Finds files that a list spells differently: other capitals, another Unicode form, or no extension."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from eyas.data.images.formats import is_image
from eyas.data.images.packed import Ints, PackedStrings
from eyas.data.lists.paths import MISSING, REPORTED, Inside, Problems, Root, look_at, say_missing
from eyas.files.pathnames import is_absolute

_FITTING = 16  # folders or files that one path may stand for: more of them are not told apart


def find_files(
    paths: PackedStrings, lines: NDArray[np.int32], root: Root, problems: Problems
) -> tuple[PackedStrings, Ints, tuple[str, ...]]:
    """Return paths by the names of their files, the files' sizes (int64 [N], see `look_at`), and notes.

    A path that is no file stands for the only one that differs from it in capitals or Unicode form; or by an ending
    that it lacks, as most paths of the list do. What is missing becomes a problem, with the files that nearly fit.
    """
    sizes = look_at(paths, root)
    missing = np.flatnonzero(sizes == MISSING)
    disk = _Disk(root)
    fitting = dict[str, list[str]]()  # the files that each missing path may stand for
    for count, row in enumerate(missing.tolist()):
        if count == REPORTED and not any(fitting.values()):
            break  # where the first thousand have none
        if (path := paths[row]) not in fitting:
            fitting[path] = disk.fitting(path)
    first = [*islice(paths, 20)]
    ended = 2 * sum(map(is_image, first)) > len(first)
    # sure is the file of a path that fits one only, and that no other line stands for
    only = {path: files[0] for path, files in fitting.items() if len(files) == 1 and (not ended or is_image(path))}
    single = [file for file, count in Counter(only.values()).items() if count == 1]
    # by sorting: the table that numpy 2.0.0 would choose overflows
    listed = np.isin(PackedStrings.of(single).hashes(), paths.hashes(), kind="sort") if single else np.zeros(0, bool)
    free = {file for file, taken in zip(single, listed.tolist(), strict=True) if not taken}
    sure, notes = {path: file for path, file in only.items() if file in free}, tuple[str, ...]()
    if sure:
        spelt = {row: paths[row] for row in missing.tolist() if paths[row] in sure}
        notes = _said([(path, sure[path]) for path in spelt.values()])
        sizes[[*spelt]] = look_at(PackedStrings.of(map(sure.__getitem__, spelt.values())), root)
        paths = PackedStrings.of(sure[path] if row in spelt else path for row, path in enumerate(paths))
    instead = {path: f"; {' and '.join(files[:3])} would fit" for path, files in fitting.items() if files}
    for path in (paths[row] for row in missing[:REPORTED].tolist()):
        if path not in instead and (files := disk.near(path)):
            instead[path] = f"; {' and '.join(files[:3])} {'is' if len(files) == 1 else 'are'} there"
    say_missing(paths, lines, sizes, root, problems, instead)
    return paths, sizes, notes


def _said(pairs: list[tuple[str, str]]) -> tuple[str, ...]:
    """Return notes on paths and the files that they stand for."""
    spelled = [(path, file) for path, file in pairs if _key(path) == _key(file)]
    ended = [(path, file) for path, file in pairs if _key(path) != _key(file)]
    notes = []
    if spelled:
        what = "differs from its file's name" if len(spelled) == 1 else "differ from their files' names"
        form = partial(unicodedata.normalize, "NFC")  # what differs in nothing else looks the same
        cased = next((f": {path} is {file}" for path, file in spelled if form(path) != form(file)), "")
        notes.append(f"{len(spelled)} path{'s' * (len(spelled) > 1)} {what} in capitals or Unicode form only{cased}")
    if ended:
        notes.append(f"{len(ended)} path{'s' * (len(ended) > 1)} without ending: {ended[0][0]} is {ended[0][1]}")
    return tuple(notes)


def _key(name: str) -> str:
    """Return what names that differ in capitals or Unicode form share."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _stem(name: str) -> str:
    return _key(name.rpartition(".")[0] if is_image(name) else name)


def _number(name: str) -> str:
    """Return what numbered names share that differ in zeros before their number, and no name by itself."""
    return "/" + _stem(name).lstrip("0")


class _Disk:
    """The files and folders below a root by `_key`, those like 0001 by `_number` too; each folder is read once."""

    def __init__(self, root: Root) -> None:
        self._root, self._inside = root, Inside(root)
        self._folders: dict[str, dict[str, list[str]]] = {}

    def fitting(self, path: str) -> list[str]:
        """Return the files that a path may stand for."""
        found = self._called(path, _key)
        exact = [file for file in found if file.rpartition(".")[0] == path]
        return (exact if len(exact) == 1 else found)[:_FITTING]

    def near(self, path: str) -> list[str]:
        """Return the files that are called as a path is, but for their ending or for zeros before their number."""
        return self._called(path, _stem) or self._called(path, _number)

    def _called(self, path: str, key: Callable[[str], str]) -> list[str]:
        """Return the files in a path's folder, by `_key`, that have the key of its name."""
        *folders, name = path.split("/")
        if is_absolute(path) or ".." in folders:
            return []
        heads = [""]
        for folder in folders:
            wanted = f"{_key(folder)}/"
            heads = [head + found for head in heads for found in self._names(head).get(wanted, ())][:_FITTING]
        return [head + file for head in heads for file in self._names(head).get(key(name), ())]

    def _names(self, head: str) -> dict[str, list[str]]:
        """Return what is in a folder: folders with a slash, files by their names with and without the ending."""
        if (known := self._folders.get(head)) is not None:
            return known
        names = self._folders[head] = {}
        folder = os.path.join(self._root.folder, head)  # noqa: PTH118 - as the paths of lists are
        try:
            if not self._inside.has(os.fsencode(folder) + b"/", link=False):
                return names
            with os.scandir(folder) as entries:
                found = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries)
        except OSError:
            return names
        for name in found:
            stem = _stem(name)
            number = {_number(name)} if stem[:1] == "0" and stem.isdecimal() else set()
            for key in {_key(name), stem} | number:
                names.setdefault(key, []).append(name)
        return names
