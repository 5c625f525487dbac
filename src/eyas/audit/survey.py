"""Every image of a set looked at once: its size, a hash of its pixels, how it looks, or why it cannot be read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyas.audit.likeness import LEAST, SIDE, marked
from eyas.data.images.ahead import read_ahead
from eyas.data.images.decode import VALUES
from eyas.data.images.greys import Greys
from eyas.data.images.imageset import FileImages, ImageSet
from eyas.data.images.rgb import Range
from eyas.errors import DataError
from eyas.terminal.progress import track

UNREAD, SHOWING, DULL, PLAIN = range(4)  # states: not readable, a picture, one without detail, a single colour
RECORD = np.dtype(
    [("digest", "<u8", 2), ("hash", "<u8"), ("mark", "i1", 64), ("width", "<u4"), ("height", "<u4"),
     ("kind", "<u2"), ("state", "u1"), ("deep", "u1"), ("low", "<f4"), ("high", "<f4")]
)  # fmt: skip
_BATCH = 256  # images

Records = NDArray[Any]
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


def blank(count: int) -> Survey:
    """Return the survey of a set of which nothing was looked at yet."""
    return Survey(np.zeros(count, RECORD), [], {})


def survey(images: ImageSet, known: Survey | None = None, keep: Callable[[Survey], None] = lambda _: None) -> Survey:
    """Look at every image that `known` does not tell of yet; with a progress bar, in bounded memory, in threads.

    `keep` gets what was seen, also where the looking is broken off.
    """
    before = known or blank(len(images))
    found = replace(before, records=before.records.copy(), kinds=list(before.kinds), reasons={})
    try:
        for rows, samples in _looked_at(images, np.flatnonzero(~before.readable)):
            good = [(row, sample) for row, sample in zip(rows, samples, strict=True) if not isinstance(sample, str)]
            found.reasons.update((row, s) for row, s in zip(rows, samples, strict=True) if isinstance(s, str))
            if good:
                found.records[[row for row, _ in good]] = _recorded([sample for _, sample in good], found.kinds)
    finally:
        keep(found)
    return found


def _looked_at(images: ImageSet, rows: NDArray[np.int64]) -> Iterator[tuple[list[int], list[Sample | str]]]:
    """Yield batches of rows with what was seen of each."""
    batches = [rows[start : start + _BATCH].tolist() for start in range(0, len(rows), _BATCH)]
    source = images.images

    def look(row: int) -> Sample | str:
        try:
            if isinstance(source, FileImages):
                return _sample(*source.picture_with_kind(row))
            return _sample(source.picture(row), "")
        except DataError as error:
            return str(error)

    pairs = zip(batches, read_ahead(batches, look), strict=True)
    yield from track(pairs, len(batches), f"Looking at {images.source}")


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


def _recorded(samples: list[Sample], kinds: list[str]) -> Records:
    """Return the records of readable images; a kind that is new is added to `kinds`."""
    kinds += [kind for kind in dict.fromkeys(sample[2] for sample in samples) if kind not in kinds]
    records = np.zeros(len(samples), RECORD)
    records["digest"] = np.frombuffer(b"".join(sample[0] for sample in samples), "<u8").reshape(-1, 2)
    records["width"], records["height"] = np.array([sample[1] for sample in samples]).T
    records["kind"] = [kinds.index(sample[2]) for sample in samples]
    records["deep"], records["low"], records["high"] = np.array([sample[5] for sample in samples]).T
    pictures = np.frombuffer(b"".join(sample[4] for sample in samples), np.uint8).reshape(-1, SIDE, SIDE, 3)
    records["mark"], records["hash"], showing = marked(pictures)
    plain = np.array([sample[3] for sample in samples])
    showing &= np.minimum(records["width"], records["height"]) >= LEAST
    records["state"] = np.where(plain, PLAIN, np.where(showing, SHOWING, DULL))
    return records
