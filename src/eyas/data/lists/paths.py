"""The paths of a list: made relative to their root, and checked on disk."""

from __future__ import annotations

import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyas.data.images.packed import Coded, Coding, Ints, PackedStrings
from eyas.errors import DataError
from eyas.files import system
from eyas.files.pathnames import is_absolute, slashed

Problems = list[tuple[int, str]]  # (line, reason)
_DRIVE = re.compile(r"[A-Za-z]:(?=/)")
_FOLDERS = 20  # with more of them beside a list, these are classes
_LOOKED_FOR = 20  # paths that a folder must have
_LOOKERS = 16  # threads that look at files: on a network's disk nearly all the time is waiting
_LOOKED_AT = 4096  # files that a thread looks at before it takes the next ones
MISSING, _NO_FILE, _LEAVES, _OUTSIDE = -1, -2, -3, -4
REPORTED = 1000  # lines whose files are named one by one as missing; of more only the number is kept
# for lists that leave them off
_GUESSED = (".jpg", ".jpeg", ".png", ".JPEG", ".JPG", ".PNG", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")


@dataclass(frozen=True)
class Root:
    """The folder that a list's paths are relative to; with `outside` they may also lead out of it."""

    folder: Path
    outside: bool = False

    def has(self, path: str) -> bool:
        """Tell whether a path, relative to the folder or absolute, is a file."""
        return os.path.isfile(os.path.join(self.folder, path))  # noqa: PTH113, PTH118 - a Path raises for long names

    def finds(self, path: str) -> bool:
        """Tell whether a path is a file as it stands, or with an ending that the list leaves off."""
        plain = path.strip().replace("\\", "/")
        return bool(plain) and any(self.has(plain + ending) for ending in ("", *_GUESSED))

    def __str__(self) -> str:
        return "the current folder" if str(self.folder) == "." else str(self.folder)


@dataclass(frozen=True)
class Folders:
    """Where the paths of the list `source` may lead: to its root, or else to one of `others`.

    Those are the list's own folder, and the folders in it or in the root; not behind links, which may lead anywhere.
    """

    source: Path
    root: Root
    others: tuple[Root, ...]

    @staticmethod
    def of(source: Path, root: str | Path | None, *, outside: bool = False) -> Folders:
        """Return the folders of a list; its own one is the root where no other is asked for."""
        own, found = Root(Path(root) if root is not None else source.parent, outside), [source.parent]
        for folder in (source.parent, own.folder):
            with suppress(OSError), os.scandir(folder) as entries:
                plain = (e.name for e in entries if e.name[0] != "." and e.is_dir(follow_symlinks=False))
                names = sorted(islice(plain, _FOLDERS + 1))
                found += [folder / name for name in names] if len(names) <= _FOLDERS else []
        return Folders(source, own, tuple(Root(f, outside) for f in dict.fromkeys(found) if f != own.folder))

    def have(self, path: str) -> bool:
        """Tell whether a path is a file in one of the folders."""
        return any(folder.finds(path) for folder in (self.root, *self.others))

    def that_has(self, paths: PackedStrings) -> tuple[Root, tuple[str, ...]]:
        """Return the folder that a list's paths are relative to, and a note where it is another than was asked for.

        That is so where the root has none of the paths that are looked for, and one other folder has all of them: the
        only one, or the one that is called like the list. Raises `DataError` where several have them.
        """
        rows = sorted({row * len(paths) // _LOOKED_FOR for row in range(_LOOKED_FOR)})
        some = [paths[row].strip('"') for row in rows]
        if any(is_absolute(path) or path[:2] == ".." or self.root.finds(path) for path in some):
            return self.root, ()
        fit = [other for other in self.others if all(map(other.finds, some))]
        if len(fit) > 1:
            fit = [other for other in fit if other.folder.name == self.source.stem] or fit
        if len(fit) > 1:
            there = " and ".join(str(other.folder) for other in fit[:3])
            raise DataError(f"{self.source}: its paths are not in {self.root}, but in {there}. Say which with --root.")
        if not fit:
            return self.root, ()
        told = f"its paths are read from {fit[0]}, where they are; none is in {self.root}"
        return fit[0], (f"{self.source.name}: {told}",)


def tidy_paths(paths: PackedStrings, root: Root) -> tuple[PackedStrings, tuple[str, ...]]:
    """Return paths relative to the root where they lie in it, and notes on what was changed, and on what leaves it."""
    notes, first = tuple[str, ...](), [*islice(paths, 20)]
    if all(len(path) > 1 and path[0] == path[-1] == '"' for path in first):
        paths = PackedStrings.of(path.strip('"') for path in paths)
    if b"\\" in paths.blob:
        paths = replace(paths, blob=paths.blob.replace(b"\\", b"/"))
        if b":/" in paths.blob and system.NAME != system.WINDOWS:
            paths = PackedStrings.of(_DRIVE.sub("", path, count=1) for path in paths)
        notes += ("paths are written the Windows way: \\ is read as /",)
    begins = np.frombuffer(paths.blob + b"\n", np.uint8)[paths.offsets[:-1]]  # of a path, or of one behind empty ones
    if (begins == ord("/")).any() or b":/" in paths.blob:
        paths, moved = _find_absolute(paths, root.folder)
        notes += moved
    if any(part in paths.blob for part in (b"..", b"./", b"//")):  # one image shall have one name
        paths = PackedStrings.of(map(_normal, paths))
    leaving = (path for path in paths if is_absolute(path) or path == ".." or path[:3] == "../")
    if root.outside and (outside := [*leaving]):
        notes += (f"{len(outside)} of {len(paths)} images lie outside {root}, the first is {outside[0]}",)
    first = [*islice(paths, 20)]
    if not any(re.search(r"\.\w{2,5}$", path) or root.has(path) for path in first):
        suffix = next((end for end in _GUESSED if all(root.has(path + end) for path in first)), "")
        if suffix:
            paths = PackedStrings.of(path + suffix for path in paths)
            notes += (f"the list leaves the file names' ending off: {suffix} was added",)
    return paths, notes


def _normal(path: str) -> str:
    """Return a path without `.`, `..` and doubled slashes in it."""
    if not any(part in path for part in ("..", "./", "//")):
        return path
    normal = slashed(os.path.normpath(path))
    return re.sub("^//", "/", normal) if system.NAME != system.WINDOWS else normal  # there it begins a server's name


def folder_names(paths: PackedStrings) -> Coded:
    """Return the name of each path's folder, "" where it has none."""
    return Coding.of(path.rpartition("/")[0].rpartition("/")[2] for path in paths)


def _find_absolute(paths: PackedStrings, root: Path) -> tuple[PackedStrings, tuple[str, ...]]:
    """Make paths under `root` relative; find those of another machine by their longest end there."""
    inside, moves = _with_slash(slashed(str(root.resolve()))), dict[str, str | None]()

    def moved(path: str) -> str:
        if not is_absolute(path):
            return path
        folder, _, name = path.rpartition("/")
        if folder not in moves:
            moves[folder] = _move(folder, name, root, inside)
        return path if (there := moves[folder]) is None else there + name

    found = PackedStrings.of(map(moved, paths))
    foreign = next((f for f, to in moves.items() if to is not None and not f"{f}/".startswith(inside)), None)
    if foreign is None:
        return found, ()
    return found, (f"{foreign}/ is not on this machine: its images are read from {root}/{moves[foreign]}",)


def _with_slash(folder: str) -> str:
    return folder.rstrip("/") + "/"


def _move(folder: str, name: str, root: Path, inside: str) -> str | None:
    """Return the folder under `root` that an absolute one stands for, with a slash, or None to leave it."""
    for base in (inside, _with_slash(slashed(str(root.absolute())))):
        if f"{folder}/".startswith(base):
            return f"{folder}/"[len(base) :]
    if os.path.isdir(folder):  # noqa: PTH112 - a Path of each folder of a million lines would be slow
        real = _with_slash(slashed(os.path.realpath(folder)))
        return real[len(inside) :] if real.startswith(inside) else None
    parts = folder.strip("/").split("/")
    for start in range(len(parts)):
        end = "/".join(parts[start:])
        if ".." not in parts[start:] and os.path.isdir(os.path.join(root, end)):  # noqa: PTH112, PTH118
            return f"{end}/"
    return "" if Root(root).has(name) else None


def look_at(paths: PackedStrings, root: Root) -> Ints:
    """Return the files' sizes in bytes, int64 [N]; less than 0 for what is missing, no regular file, or outside.

    What lies outside is not looked at, unless the root allows it.
    """
    sizes, inside = np.zeros(len(paths), np.int64), Inside(root)

    def look(start: int) -> None:
        sizes[start : start + _LOOKED_AT] = [_size(path, inside) for path in paths.pieces(start, start + _LOOKED_AT)]

    with ThreadPoolExecutor(_LOOKERS) as threads:
        list(threads.map(look, range(0, len(paths), _LOOKED_AT)))
    return sizes


def _size(path: bytes, inside: Inside) -> int:
    """Return a file's size in bytes, or what is wrong with it."""
    absolute = is_absolute(path)
    if (absolute or path[:1] == b".") and not inside.allows(path):
        return _OUTSIDE
    whole = path if absolute else inside.front + path
    try:
        seen = os.lstat(whole)
        link = stat.S_ISLNK(seen.st_mode)
        if not inside.has(whole, link=link):
            return _LEAVES
        seen = os.stat(whole) if link else seen  # noqa: PTH116 - a million times
    except (OSError, ValueError):
        return MISSING
    return seen.st_size if stat.S_ISREG(seen.st_mode) else _NO_FILE


def say_missing(
    paths: PackedStrings, lines: NDArray[np.int32], sizes: Ints, root: Root, problems: Problems, instead: dict[str, str]
) -> None:
    """Add the first thousand paths of a size below 0 to `problems`; `instead` has more to say of some."""
    outside = np.flatnonzero(sizes == _OUTSIDE)
    folders, remedy = {os.path.dirname(paths[row]) for row in outside[:REPORTED].tolist()}, ""  # noqa: PTH120
    if len(outside) < len(paths) or not all(map(is_absolute, folders)):
        remedy = "--outside-root allows it"
    elif folders:
        remedy = f"--root {os.path.commonpath(folders)} would fit, --outside-root allows it"
    reasons = {
        MISSING: f"does not exist in {root}; --root names another",
        _NO_FILE: "is not a regular file",
        _LEAVES: f"is behind a link that leads out of {root}; --outside-root allows it",
        _OUTSIDE: f"lies outside {root}, which paths are relative to; {remedy}",
    }
    for row in np.flatnonzero(sizes < 0)[:REPORTED].tolist():
        path = paths[row]
        said = f"{path} {reasons[sizes[row]]}{instead.get(path, '')}" if path else "there is no path on this line"
        if re.match(r"\w\w+:/", path):
            said = f"{path.replace(':/', '://', 1)} is an address, no file: download the pictures, and name the files"
        problems.append((int(lines[row]), said))


class Inside:
    """Tells whether files lie in the root; looks at each folder once, to follow its links."""

    def __init__(self, root: Root) -> None:
        self.front = os.fsencode(root.folder) + b"/"
        self.real = self._real(os.fsencode(root.folder)).rstrip(b"/") + b"/"
        self.anywhere = root.outside
        self.folders: dict[bytes, bool] = {}

    def allows(self, path: bytes) -> bool:
        """Tell by a path's own words whether it stays in the root."""
        return self.anywhere or not (is_absolute(path) or path[:3] == b"../" or path == b"..")

    def has(self, path: bytes, *, link: bool) -> bool:
        """Tell it of a file once links are followed; `link` says that the file itself is one."""
        if self.anywhere:
            return True
        folder = path[: path.rfind(b"/") + 1]
        if (known := self.folders.get(folder)) is None:
            known = self.folders[folder] = self._leads_inside(folder)
        return self._leads_inside(path) if link else known

    def _leads_inside(self, path: bytes) -> bool:
        return (self._real(path) + b"/").startswith(self.real)

    @staticmethod
    def _real(path: bytes) -> bytes:
        return os.fsencode(slashed(os.fsdecode(os.path.realpath(path))))
