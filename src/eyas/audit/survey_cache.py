"""What was seen of files, kept for the next look: found by each file's path, size and time, checked, bounded."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from eyas.audit.survey import RECORD, Survey, blank, survey
from eyas.data.images.imageset import FileImages, ImageSet
from eyas.errors import FileError
from eyas.files.atomic import make_folder, write_bytes
from eyas.files.pathnames import is_absolute

FORMAT = 2  # raised when the same file would give another record
Keys = NDArray[np.uint64]
SUFFIX = ".survey"
_ENTRY = np.dtype([("key", "<u8", 2), ("record", RECORD)])


@dataclass(frozen=True, slots=True)
class SurveyCache:
    """A folder of surveys, one file per set, at most `limit` bytes together; the longest unused make room.

    `tell` hears why one could not be written.
    """

    folder: Path
    limit: int
    tell: Callable[[str], object] = str

    def surveyed(self, images: ImageSet) -> Survey:
        """Return what there is to see of a set's images; those files that are unchanged are not read again."""
        if not isinstance(images.images, FileImages):
            return survey(images)
        path, keys = self._path(images.images), _keys(images.images)  # as they are before they are read
        known = _known(path, keys)

        def keep(found: Survey) -> None:
            if not np.array_equal(known.records, found.records):
                self._keep(path, keys, found)

        return survey(images, known, keep)

    def _keep(self, path: Path, keys: Keys, found: Survey) -> None:
        """Write a survey in the place of what was there; where there is no room, nothing."""
        entries = np.zeros(int(found.readable.sum()), _ENTRY)
        entries["key"], entries["record"] = keys[found.readable], found.records[found.readable]
        body = entries.tobytes()
        header = {**_made_by(), "kinds": found.kinds, "sha256": hashlib.sha256(body).hexdigest()}
        try:
            make_folder(self.folder)
            path.unlink(missing_ok=True)
            if self._make_room(len(body)):
                write_bytes(path, json.dumps(header).encode() + b"\n" + body)
        except (OSError, FileError) as error:  # a cache that cannot be written costs time, nothing else
            self.tell(str(error))

    def _path(self, files: FileImages) -> Path:
        places = (os.fsencode(os.path.realpath(place)) for place in (files.root, files.source))
        return self.folder / f"{hashlib.sha256(b'|'.join(places)).hexdigest()[:40]}{SUFFIX}"

    def _make_room(self, size: int) -> bool:
        """Remove the longest unused surveys until `size` bytes fit; return whether they do."""
        kept = sorted(self.folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
        used = sum(path.stat().st_size for path in kept)
        while kept and used + size > self.limit:
            used -= kept[0].stat().st_size
            kept.pop(0).unlink(missing_ok=True)
        return used + size <= self.limit and size < 0.9 * shutil.disk_usage(self.folder).free


def _known(path: Path, keys: Keys) -> Survey:
    """Return what the file tells of the images with these keys."""
    entries, kinds = _read(path)
    found = blank(len(keys))
    if not len(entries):
        return found
    with contextlib.suppress(OSError):  # somebody else's folder may be readable only
        os.utime(path)
    entries = entries[np.argsort(entries["key"][:, 0], kind="stable")]
    places = np.minimum(np.searchsorted(entries["key"][:, 0], keys[:, 0]), len(entries) - 1)
    same = (entries["key"][places] == keys).all(axis=1)
    found.records[same] = entries["record"][places[same]]
    return replace(found, kinds=list(kinds))


def _made_by() -> dict[str, object]:
    return {"format": FORMAT, "pillow": PIL.__version__}


def _read(path: Path) -> tuple[NDArray[np.void], tuple[str, ...]]:
    """Return the entries and kinds of a file; none where it is not there, damaged, or made by another version."""
    nothing = np.zeros(0, _ENTRY), ()
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        header = json.loads(head)
        if any(header[name] != value for name, value in _made_by().items()):
            return nothing
        if header["sha256"] != hashlib.sha256(body).hexdigest():
            return nothing
        return np.frombuffer(body, _ENTRY), tuple(map(str, header["kinds"]))
    except (OSError, ValueError, KeyError, TypeError):
        return nothing


def _keys(files: FileImages) -> Keys:
    """Return 128 bits of each file's path, size and time, uint64 [N, 2]; a file that is gone has another each time."""
    start, root = f"{files.root}/", os.path.realpath(files.root)
    parts: list[bytes] = []
    for path in files.paths:
        name = path if is_absolute(path) else start + path
        try:
            seen = os.stat(name)  # noqa: PTH116 - a million times
            told = f"{root}\0{path}\0{seen.st_size}\0{seen.st_mtime_ns}\0{seen.st_ino}\0{files.decoding}"
        except (OSError, ValueError):
            told = f"{root}\0{path}\0gone\0{len(parts)}"
        parts.append(hashlib.blake2b(told.encode("utf-8", "surrogateescape"), digest_size=16).digest())
    return np.frombuffer(b"".join(parts), "<u8").reshape(-1, 2)
