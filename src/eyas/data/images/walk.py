"""Walks through folders of images; everything that is passed over is counted by kind."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from eyas.data.images import formats
from eyas.data.images.formats import is_image
from eyas.errors import DataError
from eyas.files.pathnames import slashed

# what other programs leave behind, beside what begins with a dot: macOS, Synology, QNAP, Windows, Linux, Python
_LEFT_BEHIND = frozenset(
    ("__macosx", "icon\r", "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "$recycle.bin",
     "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "system volume information", "lost+found",
     "found.000", "__pycache__")
)  # fmt: skip
_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # what a link to nothing answers
_ENDINGS = 100  # endings that are counted apart: memory is bounded
HIDDEN, LOOSE, EMPTY, ASIDE = "hidden", "image{s} beside the folders", "folder{s} without images", "other folder{s}"
_MASKS = "mask{s} beside the picture{s}"
_MASK = re.compile(r"(.+)[_-](?:masks?|seg|segmentation|gt)(?:[_-]?\d+)?\.\w+", re.IGNORECASE)
_LIKE_A_MASK = re.compile(r"[_-](?:mask|seg|gt)", re.IGNORECASE)  # in any of many names
_BROKEN, _AGAIN, _NO_FILE = "broken link{s}", "link{s} to a folder that is read anyway", "neither file nor folder"


class LeftOut:
    """What was passed over: numbers by kind, with the first names of all but files of other endings."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}

    def add(self, kind: str, name: str) -> None:
        """Count something of a kind, which has a name."""
        self._count(kind)
        self._names[kind] = sorted([*self._names.get(kind, ()), name])[: _shown(kind)]

    def add_file(self, name: str) -> None:
        """Count a file that is no image, by its ending."""
        stem, _, end = name.rpartition(".")
        kind = f".{end.lower()}" if stem and len(end) < 12 else "without an ending"
        self._count(kind if kind in self._counts or len(self._counts) < _ENDINGS else "of other endings")

    def in_words(self) -> str:
        """Return such as `6 .heic, 2 .txt, 1 broken link (cat/7.jpg)`; "" for nothing."""
        ordered = sorted(self._counts.items(), key=lambda entry: (entry[0] in self._names, -entry[1], entry[0]))
        said = []
        for kind, count in ordered:
            names = ", ".join(self._names.get(kind, ())) + ", ..." * (count > _shown(kind))
            said.append(f"{count} {kind.replace('{s}', 's' * (count > 1))}{f' ({names})' * (kind in self._names)}")
        return ", ".join(said)

    def note(self, place: object) -> tuple[str, ...]:
        """Return the note on what was left out in a place, where there was something."""
        return (f"{place}: left out: {self.in_words()}{formats.hint(self._counts)}",) if self._counts else ()

    def _count(self, kind: str) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + 1


class Walk:
    """A walk below `folder`; `left_out` says what it has passed over so far.

    Links to folders are followed, each real folder once. With `by_class` the folders in `folder` are classes, and a
    folder that links bring into two of them is refused.
    """

    def __init__(self, folder: str | Path, *, by_class: bool = False) -> None:
        self.folder, self.left_out = str(folder), LeftOut()
        self._front = "" if self.folder == "." else os.path.join(self.folder, "")  # noqa: PTH118
        self._real, self._by_class = os.path.realpath(self.folder), by_class
        self._linked: dict[str, str] = {}  # real folders that links led to: from where

    def images(self, below: str = "") -> Iterator[str]:
        """Yield the images below a folder (`""` or one with a slash), relative to the walk's, in the order of paths.

        The names of one folder are in memory. Raises `DataError` for a folder that cannot be read.
        """
        linked = self._is_link(below)
        inside = self.inside(below) if not linked or self._is_new(below) else []
        waiting = [(below, linked, iter(inside))]
        while waiting:
            front, linked, names = waiting[-1]
            for name in names:
                path = front + name
                if name[-1] != "/":
                    yield path
                    continue
                linked = linked or self._is_link(path)
                if not linked or self._is_new(path):
                    waiting.append((path, linked, iter(self.inside(path))))
                    break
                linked = waiting[-1][1]
            else:
                waiting.pop()

    def inside(self, below: str = "") -> list[str]:
        """Return the images in one folder, and the folders, with a slash: sorted so, whole paths are in order."""
        place = self.place(below)
        try:
            with os.scandir(place) as entries:
                names = sorted(name for entry in entries if (name := self._wanted(entry, below)))
        except OSError as error:
            raise _unreadable(place, error) from error
        if not _LIKE_A_MASK.search("/".join(names)):
            return names
        # without the images called as another one is with such as `_mask` behind it
        stems = {name.rpartition(".")[0] for name in names if name[-1] != "/"}
        masks = {name for name in names if (found := _MASK.fullmatch(name)) and found[1] in stems}
        for name in masks:
            self.left_out.add(_MASKS, below + name)
        return [name for name in names if name not in masks]

    def parted(self) -> tuple[tuple[str, ...], bool]:
        """Return the names of the folders in the walk's, sorted; whether images lie beside them, which are left out."""
        inside = self.inside()
        for name in inside:
            if name[-1] != "/":
                self.left_out.add(LOOSE, name)
        return tuple(sorted(name[:-1] for name in inside if name[-1] == "/")), any(name[-1] != "/" for name in inside)

    def place(self, path: str) -> str:
        """Return the whole path of what `images` and `inside` name."""
        return (self._front + path.replace("/", os.sep)).rstrip(os.sep) if path else self.folder

    def size(self, path: str) -> int:
        """Return the bytes of a file that `images` names."""
        try:
            return os.stat(self.place(path)).st_size  # noqa: PTH116 - a Path takes ten times as long
        except OSError as error:
            raise _unreadable(self.place(path), error) from error

    def _wanted(self, entry: os.DirEntry[str], below: str) -> str:
        """Return the name of an image, that of a folder with a slash, "" for what is left out."""
        name = entry.name
        if is_image(name) and name[0] != "." and entry.is_file(follow_symlinks=False):
            return name  # nearly all of them: the sooner the better
        is_link = entry.is_symlink()
        if is_hidden(name):
            self.left_out.add(HIDDEN, below + name)
        elif is_link and not _leads_somewhere(entry):
            self.left_out.add(_BROKEN, below + name)
        elif entry.is_dir():
            return f"{name}/" if not is_link or self._leads_on(below + name) else ""
        elif not entry.is_file():
            self.left_out.add(_NO_FILE, below + name)
        elif is_image(name):
            return name
        else:
            self.left_out.add_file(name)
        return ""

    def _is_link(self, path: str) -> bool:
        return bool(path) and os.path.islink(self.place(path))  # noqa: PTH114

    def _leads_on(self, path: str) -> bool:
        """Tell whether a link leads to a folder that is not read by its own path, and does not hold the walk's."""
        target = os.path.realpath(self.place(path))
        own = _below(target, self._real)
        if _below(self._real, target) is None and (own is None or any(map(is_hidden, own.split("/")))):
            return True
        if own:
            self._keep_to_one_class(path, own)
        self.left_out.add(_AGAIN, path)
        return False

    def _is_new(self, path: str) -> bool:
        """Tell whether a folder that a link led to is read for the first time."""
        before = self._linked.setdefault(os.path.realpath(self.place(path)), path)
        if before == path:
            return True
        self._keep_to_one_class(path, before)
        self.left_out.add(_AGAIN, path[:-1])
        return False

    def _keep_to_one_class(self, path: str, same: str) -> None:
        if self._by_class and path.partition("/")[0] != same.partition("/")[0]:
            raise DataError(
                f"{self.place(path)}: by a link this is the same folder as {self.place(same)}, so that its images have "
                "two classes. Remove one of them."
            )


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is hidden by its name, or is what other programs leave behind."""
    return name[0] == "." or name.lower() in _LEFT_BEHIND


def _shown(kind: str) -> int:
    return 10 if kind == EMPTY else 3


def _leads_somewhere(link: os.DirEntry[str]) -> bool:
    try:
        link.stat()
    except OSError as error:
        if error.errno not in _NOWHERE:
            raise
        return False
    return True


def _unreadable(place: str, error: OSError) -> DataError:
    return DataError(
        f"{error.filename or place}: cannot be read: {error.strerror or error}. Which images are there is not known: "
        "make it readable, or move it elsewhere."
    )


def _below(path: str, folder: str) -> str | None:
    """Return a real path relative to a folder's, "" for the same, None where it does not lie in it."""
    if path == folder:
        return ""
    front = folder.rstrip(os.sep) + os.sep
    return slashed(path[len(front) :]) if path.startswith(front) else None
