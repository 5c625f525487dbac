"""The paths of a list: made relative to their root, and looked at on the disk."""

from __future__ import annotations

import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyas.data.packed import Coded, Coding, Ints, PackedStrings, Packing, Spans

Problems = list[tuple[int, str]]  # (line, reason)
_DRIVE = re.compile(r"[A-Za-z]:(?=/)")
_LOOKERS = 16  # threads that look at files: on a network's disk nearly all the time is waiting
_LOOKED_AT = 4096  # files that a thread looks at before it takes the next ones
_MISSING, _NO_FILE = -1, -2
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


def tidy_paths(
    paths: PackedStrings, lines: NDArray[np.int32], root: Path, problems: Problems
) -> tuple[PackedStrings, tuple[str, ...]]:
    """Return paths relative to `root` where they lie in it, and notes on what was changed to find them."""
    notes: tuple[str, ...] = ()
    if all(len(path) > 1 and path[0] == path[-1] == '"' for path in _first(paths)):
        paths = PackedStrings.of(path.strip('"') for path in paths)
    if b"\\" in paths.blob:
        paths = replace(paths, blob=paths.blob.replace(b"\\", b"/"))
        if b":/" in paths.blob:
            paths = PackedStrings.of(_DRIVE.sub("", path, count=1) for path in paths)
        notes += ("paths are written the Windows way: \\ is read as /",)
    paths, moved = _find_absolute(paths, root)
    notes += moved
    if b".." in paths.blob:
        paths = PackedStrings.of(os.path.normpath(path) if ".." in path else path for path in paths)
        for line, path in zip(lines.tolist(), paths, strict=True):
            if path[:2] == ".." and (path == ".." or path[2] == "/"):
                problems.append((line, f"{path} leaves the folder {root} that paths are relative to. Pass --root."))
    suffix = _left_off_suffix(_first(paths), root)
    if suffix:
        paths = PackedStrings.of(path + suffix for path in paths)
        notes += (f"the list leaves the file names' ending off: {suffix} was added",)
    return paths, notes


def folder_names(paths: PackedStrings) -> Coded:
    """Return the name of each path's folder, "" where it has none."""
    spans, coding = paths.spans(), Coding()
    for part in spans.parts():
        ends = _folder_ends(part)
        starts = _folder_ends(Spans(part.text, part.starts, ends)) + 1
        coding.add(Spans(part.text, np.where(ends < part.starts, ends, starts), ends))
    return coding.done()


def _first(paths: PackedStrings) -> list[str]:
    return [paths[row] for row in range(min(len(paths), 20))]


def _folder_ends(paths: Spans) -> Ints:
    """Return the place of each path's last slash; the place before its start where it has none."""
    if not len(paths):
        return paths.ends
    low, high = paths.starts.min(), paths.ends.max()
    slashes = np.append(-1, np.flatnonzero(paths.text[low:high] == ord("/")) + low)
    last = slashes[np.searchsorted(slashes, paths.ends) - 1]
    found: Ints = np.maximum(last, paths.starts - 1)
    return found


def _find_absolute(paths: PackedStrings, root: Path) -> tuple[PackedStrings, tuple[str, ...]]:
    """Make paths under `root` relative; find those of another machine by their longest end there."""
    spans, moves, packing = paths.spans(), dict[str, str | None](), Packing()
    if not any(part.begin_with("/").any() for part in spans.parts()):
        return paths, ()
    inside = str(root.resolve()) + "/"
    for part in spans.parts():
        moved = _moved(part, moves, root, inside)
        packing.add(moved.blob, np.diff(moved.offsets))
    foreign = next((f for f, to in moves.items() if to is not None and not f"{f}/".startswith(inside)), None)
    if foreign is None:
        return packing.done(), ()
    return packing.done(), (f"{foreign}/ is not on this machine: its images are read from {root}/{moves[foreign]}",)


def _moved(paths: Spans, moves: dict[str, str | None], root: Path, inside: str) -> PackedStrings:
    """Return paths with the folder of an absolute one replaced as `moves` says; a folder not yet in it is added."""
    rows = np.flatnonzero(paths.begin_with("/"))
    ends = _folder_ends(paths.take(rows))
    folders, names = Spans(paths.text, paths.starts[rows], ends), Spans(paths.text, ends + 1, paths.ends[rows])
    codes, firsts = folders.groups()
    texts = folders.take(firsts).strings()
    for folder, name in zip(texts, names.take(firsts).strings(), strict=True):
        if folder not in moves:
            moves[folder] = _move(folder, name, root, inside)
    moved = np.array([moves[folder] is not None for folder in texts], bool)[codes]
    if not moved.any():
        return paths.packed()
    starts, heads = paths.starts.copy(), np.zeros(len(paths), np.int64)
    starts[rows[moved]] = names.starts[moved]
    heads[rows[moved]] = codes[moved] + 1
    return Spans(paths.text, starts, paths.ends).behind(["", *(moves[folder] or "" for folder in texts)], heads)


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


def _left_off_suffix(first: list[str], root: Path) -> str:
    """Return the ending that makes the first files exist where no path has one, else ""."""
    if any(re.search(r"\.\w{2,5}$", path) or (root / path).exists() for path in first):
        return ""
    return next((end for end in _GUESSED if all((root / (path + end)).is_file() for path in first)), "")


def file_sizes(paths: PackedStrings, lines: NDArray[np.int32], root: Path, problems: Problems) -> Ints:
    """Return the files' sizes in bytes, int64 [N]; what is missing or no regular file is a problem."""
    sizes = np.zeros(len(paths), np.int64)
    folder = "the current folder" if str(root) == "." else root
    with ThreadPoolExecutor(_LOOKERS) as threads:
        parts = range(0, len(paths), _LOOKED_AT)
        for start, found in zip(parts, threads.map(lambda start: _look(paths, start, root), parts), strict=True):
            sizes[start : start + len(found)] = found
    for row in np.flatnonzero(sizes < 0).tolist():
        missing = sizes[row] == _MISSING
        reason = f"does not exist in {folder}; --root names another" if missing else "is not a regular file"
        problems.append((int(lines[row]), f"{paths[row]} {reason}"))
    return sizes


def _look(paths: PackedStrings, start: int, root: Path) -> list[int]:
    """Return the sizes of some thousand files."""
    front, found = os.fsencode(root) + b"/", []
    for path in paths.pieces(start, start + _LOOKED_AT):
        try:
            seen = os.stat(path if path[:1] == b"/" else front + path)  # noqa: PTH116 - a million times
        except (OSError, ValueError):
            found.append(_MISSING)
        else:
            found.append(seen.st_size if stat.S_ISREG(seen.st_mode) else _NO_FILE)
    return found
