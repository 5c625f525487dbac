"""The paths of a list: packed, made relative to their root, and looked at on the disk."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

Problems = list[tuple[int, str]]  # (line, reason)
_DRIVE = re.compile(r"[A-Za-z]:(?=/)")
_GUESSED = (
    ".jpg",
    ".jpeg",
    ".png",
    ".JPEG",
    ".JPG",
    ".webp",
    ".bmp",
    ".tif",
)  # for lists that leave them off


@dataclass(frozen=True, eq=False)
class PackedStrings(Sequence[str]):
    """Many strings as one `bytes` and int64 [N + 1] offsets: loader processes share them without copying."""

    blob: bytes
    offsets: np.ndarray

    @staticmethod
    def of(strings: Iterable[str]) -> PackedStrings:
        """Pack `strings`, kept exactly (also undecodable bytes of file names)."""
        parts = [text.encode("utf-8", "surrogateescape") for text in strings]
        return PackedStrings(b"".join(parts), np.array([0, *accumulate(map(len, parts))], np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        return self.blob[self.offsets[index] : self.offsets[index + 1]].decode("utf-8", "surrogateescape")

    def take(self, indices: np.ndarray) -> PackedStrings:
        """Return the strings at `indices`, int64 [M], in their order."""
        return PackedStrings.of(self[int(index)] for index in indices)


def tidy_paths(paths: list[str], lines: list[int], root: Path, problems: Problems) -> tuple[list[str], tuple[str, ...]]:
    """Return paths relative to `root` where they lie in it, and notes on what was changed to find them."""
    notes: tuple[str, ...] = ()
    if all(len(path) > 1 and path[0] == path[-1] == '"' for path in paths[:20]):
        paths = [path.strip('"') for path in paths]
    if any("\\" in path for path in paths):
        paths = [_DRIVE.sub("", path.replace("\\", "/"), count=1) for path in paths]
        notes += ("paths are written the Windows way: \\ is read as /",)
    if any(path[:1] == "/" for path in paths):
        paths, moved = _find_absolute(paths, root)
        notes += moved
    if any(".." in path for path in paths):
        paths = [os.path.normpath(path) if ".." in path else path for path in paths]
    for line, path in zip(lines, paths, strict=True):
        if path[:2] == ".." and (path == ".." or path[2] == "/"):
            problems.append((line, f"{path} leaves the folder {root} that paths are relative to. Pass --root."))
    suffix = _left_off_suffix(paths, root)
    if suffix:
        paths = [path + suffix for path in paths]
        notes += (f"the list leaves the file names' ending off: {suffix} was added",)
    return paths, notes


def _find_absolute(paths: list[str], root: Path) -> tuple[list[str], tuple[str, ...]]:
    """Make paths under `root` relative; find those of another machine by their longest end there."""
    inside = str(root.resolve()) + "/"
    moves: dict[str, str | None] = {}
    found = []
    for path in paths:
        if path[:1] != "/":
            found.append(path)
            continue
        folder, _, name = path.rpartition("/")
        if folder not in moves:
            moves[folder] = _move(folder, name, root, inside)
        start = moves[folder]
        found.append(path if start is None else start + name)
    foreign = next((f for f, to in moves.items() if to is not None and not f"{f}/".startswith(inside)), None)
    if foreign is None:
        return found, ()
    return found, (f"{foreign}/ is not on this machine: its images are read from {root}/{moves[foreign]}",)


def _move(folder: str, name: str, root: Path, inside: str) -> str | None:
    """Return the folder under `root` that an absolute one stands for, with a slash, or None to leave it."""
    if f"{folder}/".startswith(inside):
        return f"{folder}/"[len(inside) :]
    if os.path.isdir(folder):  # noqa: PTH112 - a Path of each folder of a million lines would be slow
        return None
    parts = folder.strip("/").split("/")
    for start in range(len(parts)):
        end = "/".join(parts[start:])
        if ".." not in parts[start:] and (root / end).is_dir():
            return f"{end}/"
    return "" if (root / name).is_file() else None


def _left_off_suffix(paths: list[str], root: Path) -> str:
    """Return the ending that makes the first files exist where no path has one, else ""."""
    first = paths[:20]
    if any(re.search(r"\.\w{2,5}$", path) or (root / path).exists() for path in first):
        return ""
    return next((end for end in _GUESSED if all((root / (path + end)).is_file() for path in first)), "")


def file_sizes(paths: PackedStrings, lines: np.ndarray, root: Path, problems: Problems) -> np.ndarray:
    """Return the files' sizes in bytes, int64 [N]; what is missing or no regular file is a problem."""
    sizes = np.zeros(len(paths), np.int64)
    start = f"{root}/"
    for row, path in enumerate(paths):
        try:
            found = os.stat(path if path[:1] == "/" else start + path)  # noqa: PTH116 - a million times
        except (OSError, ValueError):
            folder = "the current folder" if str(root) == "." else root
            problems.append((int(lines[row]), f"{path} does not exist in {folder}; --root names another"))
            continue
        sizes[row] = found.st_size
        if not stat.S_ISREG(found.st_mode):
            problems.append((int(lines[row]), f"{path} is not a regular file"))
    return sizes
