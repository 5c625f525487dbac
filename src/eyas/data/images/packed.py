"""Many strings in one piece of memory: packed, cut out of a text, grouped by what they say; no Python object each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
ROWS = 1 << 16  # strings worked on at a time: temporary arrays stay small beside the strings themselves
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_LOW_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)


@dataclass(frozen=True, eq=False)
class PackedStrings(Sequence[str]):
    """Many strings as one `bytes` and int64 [N + 1] offsets: loader processes share them without copying."""

    blob: bytes
    offsets: Ints

    @staticmethod
    def of(strings: Iterable[str]) -> PackedStrings:
        """Pack `strings`, kept exactly (also undecodable bytes of file names)."""
        packing, remaining = Packing(), iter(strings)
        while part := [text.encode("utf-8", "surrogateescape") for text in islice(remaining, ROWS)]:
            packing.add(b"".join(part), np.fromiter(map(len, part), np.int64, len(part)))
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

    def spans(self) -> Spans:
        """Return where each string lies."""
        return Spans(np.frombuffer(self.blob, np.uint8), self.offsets[:-1], self.offsets[1:])

    def take(self, indices: Ints) -> PackedStrings:
        """Return the strings at `indices`, int64 [M], in their order."""
        return self.spans().take(indices).packed()


class Packing:
    """Strings on their way to `PackedStrings`, many at a time."""

    def __init__(self) -> None:
        self._blob = BytesIO()  # gives its buffer away without a copy
        self._lengths: list[NDArray[np.int32]] = []

    def add(self, blob: bytes, lengths: Ints) -> None:
        """Take strings that stand one behind the other, and their lengths in bytes."""
        self._blob.write(blob)
        self._lengths.append(lengths.astype(np.int32))

    def done(self) -> PackedStrings:
        """Return what was added."""
        offsets = np.zeros(sum(map(len, self._lengths)) + 1, np.int64)
        place = 1
        for lengths in self._lengths:
            np.cumsum(lengths, out=offsets[place : place + len(lengths)])
            offsets[place : place + len(lengths)] += offsets[place - 1]
            place += len(lengths)
        return PackedStrings(self._blob.getvalue(), offsets)


@dataclass(frozen=True, eq=False)
class Spans:
    """Pieces of a text: `text` uint8 [B] is UTF-8; `starts` and `ends` int64 [N] are places in it."""

    text: Bytes
    starts: Ints
    ends: Ints

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, rows: Ints | NDArray[np.bool_] | slice) -> Spans:
        """Return the pieces of some rows, by number or by a mask."""
        return Spans(self.text, self.starts[rows], self.ends[rows])

    def parts(self) -> Iterator[Spans]:
        """Yield the pieces in order, some thousands at a time."""
        for start in range(0, len(self), ROWS):
            yield self.take(slice(start, start + ROWS))

    def begin_with(self, letter: str) -> NDArray[np.bool_]:
        """Tell of each piece whether its first byte is an ASCII letter."""
        begun = self.starts < self.ends
        begun[begun] = self.text[self.starts[begun]] == ord(letter)
        return begun

    def strings(self) -> list[str]:
        """Return the pieces as Python strings."""
        bounds = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return [self.text[start:end].tobytes().decode("utf-8", "surrogateescape") for start, end in bounds]

    def joined(self) -> bytes:
        """Return the pieces one behind the other."""
        some = self.take(self.starts < self.ends)
        if not len(some):
            return b""
        if (some.starts[1:] >= some.ends[:-1]).all():  # they stand in the text's order: what lies between is quicker
            low, high = some.starts[0], some.ends[-1]
            steps = np.zeros(high - low + 1, np.int8)
            steps[some.starts - low] += 1
            steps[some.ends - low] -= 1
            inside = np.cumsum(steps[:-1], dtype=np.int8, out=steps[:-1]).view(np.bool_)
            return some.text[low:high][inside].tobytes()
        lengths = some.ends - some.starts
        ends = np.cumsum(lengths)
        places = np.arange(ends[-1]) + np.repeat(some.starts - (ends - lengths), lengths)
        return bytes(self.text[places])

    def packed(self) -> PackedStrings:
        """Return the pieces as strings of their own."""
        packing = Packing()
        for part in self.parts():
            packing.add(part.joined(), part.ends - part.starts)
        return packing.done()

    def behind(self, heads: Sequence[str], codes: Ints) -> PackedStrings:
        """Return the pieces as strings of their own, each behind the one of `heads` that int64 [N] `codes` says."""
        first, low = PackedStrings.of(heads), self.starts.min(initial=len(self.text))
        text = np.concatenate([np.frombuffer(first.blob, np.uint8), self.text[low : self.ends.max(initial=0)]])
        shift = len(first.blob) - low
        starts = np.stack([first.offsets[:-1][codes], self.starts + shift], axis=1)
        ends = np.stack([first.offsets[1:][codes], self.ends + shift], axis=1)
        halves = Spans(text, starts.ravel(), ends.ravel()).packed()
        return PackedStrings(halves.blob, halves.offsets[::2])

    def hashes(self, seed: int = 0) -> NDArray[np.uint64]:
        """Return a number for each piece that two equal ones share, and two unequal ones hardly ever."""
        found = (self.ends - self.starts + (seed << 32)).astype(np.uint64) * _FACTOR
        for start in range(0, len(self), ROWS):
            part = found[start : start + ROWS]
            for rows, words in self.take(slice(start, start + ROWS))._words():
                mixed = (part[rows] ^ words) * _FACTOR
                part[rows] = mixed ^ (mixed >> np.uint64(32))
        return found

    def groups(self) -> tuple[Ints, Ints]:
        """Return each piece's group, int64 [N], and each group's first row: equal pieces, in the order of those."""
        seed = 0
        while True:
            keys = self.hashes(seed)
            found = np.unique(keys)
            codes, firsts = np.searchsorted(found, keys), np.zeros(len(found), np.int64)
            firsts[codes[::-1]] = np.arange(len(keys))[::-1]  # of several rows the last one written stays
            first = self.take(firsts[codes])  # of each one's group
            words = (pair for mine, its in zip(self.parts(), first.parts(), strict=True)
                     for pair in zip(mine._words(), its._words(), strict=True))  # fmt: skip
            if np.array_equal(self.ends - self.starts, first.ends - first.starts) and all(
                np.array_equal(mine, its) for (_, mine), (_, its) in words
            ):
                order = np.argsort(firsts)
                return np.argsort(order)[codes], firsts[order]
            seed += 1  # two unequal pieces shared a number: others are drawn

    def _words(self) -> Iterator[tuple[Ints, NDArray[np.uint64]]]:
        """Yield (rows, their next eight bytes as a number) until every piece is through."""
        text = self.text if len(self.text) >= 8 else np.pad(self.text, (0, 8))
        every = np.ndarray(len(text) - 7, "<u8", text, strides=(1,))  # the eight bytes from each place on
        rows = np.flatnonzero(self.starts < self.ends)
        places, ends = self.starts[rows], self.ends[rows]
        while len(rows):
            read = np.minimum(places, len(every) - 1)  # the text's last bytes stand higher in the word before
            words = every[read] >> ((places - read) * 8).astype(np.uint64)
            yield rows, words & _LOW_BYTES[np.minimum(ends - places, 8)]
            longer = places + 8 < ends
            rows, places, ends = rows[longer], places[longer] + 8, ends[longer]


@dataclass(frozen=True, eq=False)
class Coded:
    """Strings that repeat, as numbers: `codes` int32 [N] index into `texts`, which stand as they first appear."""

    codes: NDArray[np.int32]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: Ints) -> Coded:
        """Return the strings of some rows, and only those texts that occur there."""
        found, firsts, codes = np.unique(self.codes[rows], return_index=True, return_inverse=True)
        order = np.argsort(firsts)
        return Coded(np.argsort(order)[codes].astype(np.int32), [self.texts[code] for code in found[order]])


class Coding:
    """Strings on their way to `Coded`, many at a time."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._codes = [np.zeros(0, np.int32)]

    @staticmethod
    def of(spans: Spans) -> Coded:
        """Return the strings as numbers."""
        coding = Coding()
        coding.add(spans)
        return coding.done()

    def add(self, spans: Spans) -> None:
        """Take strings."""
        for part in spans.parts():
            codes, firsts = part.groups()
            texts = part.take(firsts).strings()
            known = [self._index.setdefault(text, len(self._index)) for text in texts]
            self._codes.append(np.array(known, np.int32)[codes])

    def done(self) -> Coded:
        """Return what was added."""
        return Coded(np.concatenate(self._codes), list(self._index))
