"""Pairs of 64-bit hashes that differ in a few bits: found by their thirds, not by comparing all with all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Rows = NDArray[np.int64]
PARTS = ((0, 22), (22, 21), (43, 21))  # (first bit, bits) of the parts of a hash
FEW = 16  # hashes of a value that are still looked at where the pairs are too many
_AT_ONCE = 1 << 20  # pairs looked at in one piece


@dataclass(slots=True)
class Search:
    """All pairs of `hashes` uint64 [N] of which one, with the bits of `turned` inverted, is near the other.

    Hashes that differ in at most `radius` bits differ in at most a third of them in one of three parts (the pigeonhole
    principle). So each part is looked up with every such change, in a table of where its values begin: N * 232 * 3
    look-ups for a radius of 8. Where thousands are nearly alike, the pairs themselves are many: past `limit` of them
    only `FEW` hashes of each value are looked at, and `complete` becomes False.
    """

    hashes: Hashes
    radius: int
    turned: int = 0
    limit: int = 1 << 62
    complete: bool = True
    looked_at: int = 0

    def pairs(self) -> Iterator[tuple[Rows, Rows, NDArray[np.uint8]]]:
        """Yield (first, second, bits that differ) in pieces, first < second, each pair once."""
        for part in range(len(PARTS)):
            yield from self._by_part(part)

    def _by_part(self, part: int) -> Iterator[tuple[Rows, Rows, NDArray[np.uint8]]]:
        first_bit, bits = PARTS[part]
        values = _part(self.hashes, part)
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        starts = np.zeros((1 << bits) + 1, np.int32)
        np.cumsum(np.bincount(ordered, minlength=1 << bits), out=starts[1:])
        turned = self.turned >> first_bit & (1 << bits) - 1
        for change in _changes(bits, self.radius // len(PARTS)):
            if self.looked_at > 2 * self.limit:
                return
            mask = change ^ turned
            # of two values that differ by a mask exactly one lacks its highest bit: each pair is met once
            rows = np.arange(len(ordered)) if not mask else np.flatnonzero(ordered & (1 << mask.bit_length() - 1) == 0)
            wanted = ordered[rows] ^ mask
            begin, end = starts[wanted].astype(np.int64), starts[wanted + 1].astype(np.int64)
            if not mask:
                begin = rows + 1
            some = begin < end
            yield from self._near(order, rows[some], begin[some], end[some], part)

    def _near(
        self, order: Rows, rows: Rows, begin: Rows, end: Rows, part: int
    ) -> Iterator[tuple[Rows, Rows, NDArray[np.uint8]]]:
        """Yield those pairs of `rows` with all between `begin` and `end` that are near; all are places in `order`."""
        if self.looked_at + int((end - begin).sum()) > self.limit:
            self.complete, end = False, np.minimum(end, begin + FEW)
        ends = np.cumsum(end - begin)
        at = 0
        while at < len(rows):
            before = ends[at - 1] if at else 0
            stop = max(at + 1, int(np.searchsorted(ends, before + _AT_ONCE, "right")))
            piece = slice(at, stop)
            lengths = end[piece] - begin[piece]
            one = order[np.repeat(rows[piece], lengths)]
            places = np.arange(lengths.sum()) + np.repeat(begin[piece] - (np.cumsum(lengths) - lengths), lengths)
            self.looked_at += len(places)
            yield from self._checked(one, order[places], part)
            at = stop

    def _checked(self, one: Rows, other: Rows, part: int) -> Iterator[tuple[Rows, Rows, NDArray[np.uint8]]]:
        """Yield the pairs that are near and that no earlier part has found."""
        differing = self.hashes[one] ^ self.hashes[other] ^ np.uint64(self.turned)
        distances = np.bitwise_count(differing)
        near = distances <= self.radius
        for earlier in range(part):
            near[near] = np.bitwise_count(_part(differing[near], earlier)) > self.radius // len(PARTS)
        if near.any():
            one, other = one[near], other[near]
            yield np.minimum(one, other), np.maximum(one, other), distances[near]


def _part(hashes: Hashes, part: int) -> Rows:
    first_bit, bits = PARTS[part]
    found: Rows = (hashes >> np.uint64(first_bit) & np.uint64((1 << bits) - 1)).astype(np.int64)
    return found


def _changes(bits: int, most: int) -> Iterator[int]:
    """Yield every number of `bits` bits of which at most `most` are set."""
    for count in range(most + 1):
        for places in combinations(range(bits), count):
            yield sum(1 << place for place in places)
