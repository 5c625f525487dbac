"""Reads every image of a data set once: its size, a hash of its pixels, its fingerprint, or why it cannot be read.

What was seen of files is kept for the next look: found by each file's path, size and time, checked, bounded.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from eyas.audit.likeness import LEAST, SIDE, marked
from eyas.data.images.ahead import read_ahead
from eyas.data.images.decode import VALUES
from eyas.data.images.greys import Greys
from eyas.data.images.imageset import FileImages, ImageSet
from eyas.data.images.rgb import Range
from eyas.data.loading.least_recent import make_room, mark_used
from eyas.errors import DataError, FileError
from eyas.files.atomic import make_folder, write_bytes
from eyas.files.pathnames import is_absolute
from eyas.terminal.progress import track

UNREAD, SHOWING, DULL, PLAIN = range(4)  # states: not readable, a picture, one without detail, a single colour
RECORD = np.dtype(
    [("digest", "<u8", 2), ("hash", "<u8"), ("mark", "i1", 64), ("width", "<u4"), ("height", "<u4"),
     ("kind", "<u2"), ("state", "u1"), ("deep", "u1"), ("low", "<f4"), ("high", "<f4")]
)  # fmt: skip
_BATCH = 256  # images
MADE_BY = {"format": 2, "pillow": PIL.__version__}  # the format is raised when the same file would give another record
SUFFIX = ".survey"
_ENTRY = np.dtype([("key", "<u8", 2), ("record", RECORD)])

Records = NDArray[Any]
Keys = NDArray[np.uint64]
Values = tuple[int, float, float]  # 0 of 8 bits, 1 grey of 16, 2 colour of 16; the least and the largest value
Sample = tuple[bytes, tuple[int, int], str, bool, bytes, Values]  # digest, size, kind, plain, the shrunken picture


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What was seen of a set's images: `records` [N] of `RECORD`, the file kinds they index, reasons by image.

    `digest` is 128 bits of SHA-256 over size and pixels, so that a picture stored in another format without loss has
    the same one. `state` tells whether there is one.
    """

    records: Records
    kinds: list[str]
    reasons: dict[int, str]

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Which images could be decoded."""
        found: NDArray[np.bool_] = self.records["state"] != UNREAD
        return found

    def greys(self, grey_range: Range | None) -> Greys:
        """Return what the images of 16 bits hold, decoded with this range."""
        rows = self.records[self.readable & (self.records["deep"] > 0)][["deep", "low", "high"]].tolist()
        return sum((Greys.seen(low, high, deep == 2, grey_range) for deep, low, high in rows), Greys())


@dataclass(frozen=True, slots=True)
class SurveyCache:
    """An LRU directory of surveys, one file per set, at most `limit` bytes together.

    `tell` is called with the reason where one could not be written.
    """

    folder: Path
    limit: int
    tell: Callable[[str], object] = str

    def surveyed(self, images: ImageSet) -> Survey:
        """Return what there is to see of a set's images; those files that are unchanged are not read again."""
        found = Survey(np.zeros(len(images), RECORD), [], {})
        if not isinstance(files := images.images, FileImages):
            look_at(images, found)
            return found
        places = b"|".join(os.fsencode(os.path.realpath(place)) for place in (files.root, files.source))
        path, keys = self.folder / f"{hashlib.sha256(places).hexdigest()[:40]}{SUFFIX}", file_keys(files)
        entries, kinds = read_entries(path)
        if len(entries):
            mark_used(path)
            found.kinds.extend(kinds)
            entries = entries[np.argsort(entries["key"][:, 0], kind="stable")]
            rows = np.minimum(np.searchsorted(entries["key"][:, 0], keys[:, 0]), len(entries) - 1)
            same = (entries["key"][rows] == keys).all(axis=1)
            found.records[same] = entries["record"][rows[same]]
        known = found.records.copy()
        try:
            look_at(images, found)
        finally:  # also where the looking is broken off
            if not np.array_equal(known, found.records):
                self._keep(path, keys, found)
        return found

    def _keep(self, path: Path, keys: Keys, found: Survey) -> None:
        """Write a survey in the place of what was there; where there is no room, nothing."""
        entries = np.zeros(int(found.readable.sum()), _ENTRY)
        entries["key"], entries["record"] = keys[found.readable], found.records[found.readable]
        body = entries.tobytes()
        header = {**MADE_BY, "kinds": found.kinds, "sha256": hashlib.sha256(body).hexdigest()}
        try:
            make_folder(self.folder)
            path.unlink(missing_ok=True)
            if make_room(self.folder, SUFFIX, min(len(body), self.limit), limit=self.limit) and len(body) <= self.limit:
                write_bytes(path, json.dumps(header).encode() + b"\n" + body)
        except (OSError, FileError) as error:  # a cache that cannot be written costs time, nothing else
            self.tell(str(error))


def look_at(images: ImageSet, found: Survey) -> None:
    """Add what there is to see of every image that has no record yet; with a progress bar, in threads."""
    missing = np.flatnonzero(~found.readable)
    batches = [missing[start : start + _BATCH].tolist() for start in range(0, len(missing), _BATCH)]
    source = images.images

    def look(row: int) -> Sample | str:
        try:
            if isinstance(source, FileImages):
                return _sample(*source.picture_with_kind(row))
            return _sample(source.picture(row), "")
        except DataError as error:
            return str(error)

    pairs = zip(batches, read_ahead(batches, look), strict=True)
    for rows, samples in track(pairs, len(batches), f"Looking at {images.source}"):
        good = {row: sample for row, sample in zip(rows, samples, strict=True) if not isinstance(sample, str)}
        found.reasons.update((row, s) for row, s in zip(rows, samples, strict=True) if isinstance(s, str))
        if not good:
            continue
        digests, sizes, kinds, plain, small, values = zip(*good.values(), strict=True)
        found.kinds.extend(kind for kind in dict.fromkeys(kinds) if kind not in found.kinds)
        records = np.zeros(len(good), RECORD)
        records["digest"] = np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)
        records["width"], records["height"] = np.array(sizes).T
        records["kind"] = [found.kinds.index(kind) for kind in kinds]
        records["deep"], records["low"], records["high"] = np.array(values).T
        pictures = np.frombuffer(b"".join(small), np.uint8).reshape(-1, SIDE, SIDE, 3)
        records["mark"], records["hash"], showing = marked(pictures)
        showing &= np.minimum(records["width"], records["height"]) >= LEAST
        records["state"] = np.where(plain, PLAIN, np.where(showing, SHOWING, DULL))
        found.records[list(good)] = records


def _sample(picture: Image.Image, kind: str) -> Sample:
    width, height = picture.size
    digest = hashlib.sha256(f"{width}x{height} ".encode())
    digest.update(picture.tobytes())
    small = picture.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=1.0)
    plain = _of_one_colour(small) and _of_one_colour(picture)  # the second takes as long as a good part of the decoding
    low, high, coarse, _ = picture.info.get(VALUES, (0, 0, False, 0))
    deep = (VALUES in picture.info) + coarse
    return digest.digest()[:16], (width, height), kind, plain, small.tobytes(), (deep, low, high)


def _of_one_colour(picture: Image.Image) -> bool:
    return all(low == high for low, high in picture.getextrema())  # type: ignore[misc]


def read_entries(path: Path) -> tuple[NDArray[np.void], tuple[str, ...]]:
    """Return the entries and kinds of a file; none where it is not there, damaged, or made by another version."""
    nothing = np.zeros(0, _ENTRY), ()
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        header = json.loads(head)
        made_here = all(header[name] == value for name, value in MADE_BY.items())
        if not made_here or header["sha256"] != hashlib.sha256(body).hexdigest():
            return nothing
        return np.frombuffer(body, _ENTRY), tuple(map(str, header["kinds"]))
    except (OSError, ValueError, KeyError, TypeError):
        return nothing


def file_keys(files: FileImages) -> Keys:
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
