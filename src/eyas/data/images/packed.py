"""Many strings in one buffer instead of a Python object each: packed, sliced, grouped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
ROWS = 1 << 16  # strings worked on at a time: Python objects of all of them would take ten times the memory


@dataclass(frozen=True, eq=False)
class PackedStrings(Sequence[str]):
    """Many strings as one `bytes` and int64 [N + 1] offsets: loader processes share them without copying."""

    blob: bytes
    offsets: Ints

    @staticmethod
    def of(strings: Iterable[str]) -> PackedStrings:
        """Pack `strings`, kept exactly (also undecodable bytes of file names)."""
        packing = Packing()
        packing.add(strings)
        return packing.done()

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        return self.blob[self.offsets[index] : self.offsets[index + 1]].decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), ROWS):
            for piece in self.pieces(start, start + ROWS):
                yield piece.decode("utf-8", "surrogateescape")

    def pieces(self, start: int, stop: int) -> list[bytes]:
        """Return the strings from number `start` to before `stop` as bytes."""
        return [self.blob[begin:end] for begin, end in pairwise(self.offsets[start : stop + 1].tolist())]

    def take(self, rows: Ints) -> PackedStrings:
        """Return the strings of `rows`, int64 [M], in their order."""
        starts, ends = self.offsets[:-1][rows], self.offsets[1:][rows]
        pieces = (self.blob[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True))
        return PackedStrings(b"".join(pieces), np.append(0, np.cumsum(ends - starts)))

    def hashes(self) -> Ints:
        """Return a number for each string that two equal ones share, and two unequal ones hardly ever."""
        found = np.zeros(len(self), np.int64)
        for start in range(0, len(self), ROWS):
            found[start : start + ROWS] = [hash(piece) for piece in self.pieces(start, start + ROWS)]
        return found


class Packing:
    """Strings on their way to `PackedStrings`, many at a time."""

    def __init__(self) -> None:
        self._blob = BytesIO()  # gives its buffer away without a copy
        self._lengths = [np.zeros(1, np.int32)]

    def add(self, strings: Iterable[str]) -> None:
        """Take strings."""
        remaining = iter(strings)
        while part := list(islice(remaining, ROWS)):
            blob = "".join(part).encode("utf-8", "surrogateescape")
            sized = part if blob.isascii() else [text.encode("utf-8", "surrogateescape") for text in part]
            self._blob.write(blob)
            self._lengths.append(np.fromiter(map(len, sized), np.int32, len(part)))

    def done(self) -> PackedStrings:
        """Return what was added."""
        return PackedStrings(self._blob.getvalue(), np.cumsum(np.concatenate(self._lengths), dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Coded:
    """Strings that repeat, as numbers: `codes` int32 [N] index into `texts`, which stand as they first appear."""

    codes: NDArray[np.int32]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: Ints) -> Coded:
        """Return the strings of some rows, and only those texts that occur there."""
        return Coding.of(map(self.texts.__getitem__, self.codes[rows].tolist()))


class Coding:
    """Strings on their way to `Coded`, many at a time."""

    def __init__(self) -> None:
        self._number = defaultdict[str, int]()
        self._number.default_factory = self._number.__len__  # a new text gets the next number
        self._codes = [np.zeros(0, np.int32)]

    @staticmethod
    def of(strings: Iterable[str]) -> Coded:
        """Return the strings as numbers."""
        coding = Coding()
        coding.add(strings)
        return coding.done()

    def add(self, strings: Iterable[str]) -> None:
        """Take strings."""
        self._codes.append(np.fromiter(map(self._number.__getitem__, strings), np.int32))

    def done(self) -> Coded:
        """Return what was added."""
        return Coded(np.concatenate(self._codes), list(self._number))
