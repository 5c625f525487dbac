"""Images copied into a folder per class: nothing is overwritten, and what is there already is not copied again."""

from __future__ import annotations

import hashlib
import os
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import count, takewhile
from pathlib import Path

from eyas.errors import SettingsError
from eyas.files.atomic import atomic_path, check_name, make_folder
from eyas.files.pathnames import LONGEST, cut, safe_name


class Sorter:
    """Copies images into `folder/CLASS/`. A name that is taken by another picture gets a number."""

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        """Begin to sort by these labels; their folders are made when they are needed."""
        self._root, self._folders = folder, dict(zip(labels, folder_names(labels), strict=True))
        self._known: dict[str, set[bytes]] = {}  # of names that several pictures have: what is there, by its bytes
        self.copied = self.there = 0

    def add(self, path: str, label: str) -> None:
        """Copy a file to its label's folder, unless an equal one is there under its name or its name and a number.

        Raises `FileError` where the disk refuses.
        """
        target = self._root / self._folders[label] / cut(os.path.basename(path), LONGEST)  # noqa: PTH119
        if os.path.lexists(target):
            mark, known = _mark(path), self._known.get(str(target))
            if known is None:
                others = takewhile(os.path.lexists, numbered(target, 2))
                known = self._known[str(target)] = {_mark(name) for name in (target, *others)}
            if mark in known:
                self.there += 1
                return
            known.add(mark)
            target = next(name for name in numbered(target, len(known)) if not os.path.lexists(name))
        else:
            make_folder(target.parent)
        with atomic_path(target, lasting=False) as temporary:
            shutil.copyfile(path, temporary)
        self.copied += 1


def check_target(folder: str, paths: Sequence[str | Path]) -> None:
    """Raise `SettingsError` where copies would lie in a folder that is read: the next time they would be images."""
    check_name(Path(folder))
    target = Path(folder).resolve()
    for path in map(Path, paths):
        if path.is_dir() and target.is_relative_to(path.resolve()):
            raise SettingsError(f"--copy-to {folder}: lies in {path}, whose images are read. Choose a folder outside.")
    if target.exists() and not target.is_dir():
        raise SettingsError(f"--copy-to {folder}: is a file; a folder is needed.")


def folder_names(labels: Sequence[str]) -> list[str]:
    """Return a folder's name for each label: the label itself where it can be one, and no two alike.

    What a folder cannot be called on some system becomes `_`; of names that become alike (also but for capitals or
    the form of their accents) the later ones get a number.
    """
    safe = [safe_name(label) for label in labels]
    found: dict[int, str] = {}
    taken: set[str] = set()
    for number in sorted(range(len(labels)), key=lambda one: safe[one] != labels[one]):  # unchanged ones come first
        name, more = safe[number], count(2)
        while _folded(name) in taken:
            name = f"{safe[number]}-{next(more)}"
        taken.add(_folded(name))
        found[number] = name
    return [found[number] for number in range(len(labels))]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def numbered(target: Path, first: int) -> Iterator[Path]:
    """Yield NAME-first.ENDING, NAME-(first + 1).ENDING, ..."""
    return (target.with_name(f"{target.stem}-{number}{target.suffix}") for number in count(max(first, 2)))


def _mark(path: str | Path) -> bytes:
    """Return the SHA-256 of a file's bytes; something that no file has for what is none."""
    if not os.path.isfile(path):  # noqa: PTH113
        return str(path).encode("utf-8", "surrogateescape")
    with open(path, "rb") as file:  # noqa: PTH123
        return hashlib.file_digest(file, "sha256").digest()
