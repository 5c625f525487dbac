"""Detects truncated JPEG files that Pillow would decode with grey areas."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from PIL import Image

ROOM = 1024  # pixels that a byte can hold: a block of 8x8 takes at least one bit, which is half as much
SCANS = 100
_GREY = frozenset((127, 128))  # what blocks without data become; CMYK is turned over
_MARK = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")  # in a scan's data FF 00 and restart marks are no ends
_END, _SCAN, _PROGRESSIVE = 0xD9, 0xDA, 0xC2
_FILLER = bytes(range(1, 65))


def refuse_bomb(image: Image.Image, data: bytes) -> None:
    """Raise `ValueError` where a JPEG, opened and not yet decoded, would take more work than its bytes can be worth.

    It has fewer bytes than its size can be made of, or more scans than encoders write (about 10): each scan is a pass
    over the whole picture and may take 26 bytes, so a megabyte could ask for ten minutes.
    """
    if image.format not in ("JPEG", "MPO"):
        return
    if image.width * image.height > ROOM * len(data):
        raise ValueError(f"its {len(data):,} bytes cannot hold the {image.width} x {image.height} pixels of its header")
    if data.count(b"\xff\xda") > SCANS:  # that counts metadata in, and is quick
        scans = sum(mark == _SCAN for mark, _ in _marks(data))
        if scans > SCANS:
            raise ValueError(f"it is a JPEG of {scans:,} scans; no more than {SCANS} are read")


def refuse_cut(image: Image.Image, data: bytes) -> None:
    """Raise `ValueError` where the data of a decoded JPEG end before its last block, or its last scans are missing.

    The decoder gives grey for blocks without data and says nothing. Where the last pixel is that grey, the file is
    decoded again with more bytes before its end mark: a whole picture stays as it is.
    """
    if image.format not in ("JPEG", "MPO"):
        return
    if "progressive" in image.info:
        bits: dict[tuple[int, int], int] = {}  # that are still to come, by component and coefficient
        for mark, place in _marks(data):
            body = data[place + 2 : place + 64]
            if mark == _PROGRESSIVE:
                components = body[6 : 6 + 3 * body[5] : 3]
                bits |= {(component, number): -1 for component in components for number in range(64)}
            elif mark == _SCAN:
                first, last, steps = body[1 + 2 * body[0] : 4 + 2 * body[0]]
                for component in body[1 : 1 + 2 * body[0] : 2]:
                    bits |= {(component, number): steps & 15 for number in range(first, min(last, 63) + 1)}
        if any(bits.values()):
            raise ValueError("image file is truncated: its last scans are missing")
    pixel = image.getpixel((image.width - 1, image.height - 1))
    if not _GREY.issuperset(pixel if isinstance(pixel, tuple) else (pixel,)):
        return
    end = next((place for mark, place in _marks(data) if mark == _END), 0) - 2
    if end < 0:
        return
    with Image.open(io.BytesIO(data[:end] + _FILLER + data[end : end + 2]), formats=("JPEG",)) as longer:
        if longer.tobytes() != image.tobytes():
            raise ValueError("image file is truncated: its data end before its last block")


def _marks(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marks of the first picture with the places behind them, the end mark last."""
    place = 2
    while (found := _MARK.search(data, place)) is not None:
        mark, place = data[found.end() - 1], found.end()
        yield mark, place
        if mark == _END:
            return
        place += int.from_bytes(data[place : place + 2])
