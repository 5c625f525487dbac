"""Finds identical and near-duplicate images in a survey, as groups and pairs of row numbers.

Pairs of 64-bit hashes that differ in a few bits are found by their thirds, not by comparing all with all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from eyas.audit.likeness import ALIKE, ALIKE_AT_MOST, ALIKE_OTHERWISE, MIRROR, RADIUS, likeness
from eyas.audit.survey import DULL, SHOWING, Records

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
PAIR = np.dtype([("later", "<i8"), ("earlier", "<i8"), ("relation", "u1"), ("likeness", "<f4"), ("mirrored", "?")])
OTHER_LABEL, OTHER_PART = 2, 1  # bits of `relation`
PER_IMAGE = 1_000  # pairs to look at for each image; more only where very many look alike
COMMON, SEVERAL = 0.05, 50  # pairs for an image, and pairs with different labels, from which on likeness is common
RARE = 0.001  # of the pairs: so many may have different labels then
PARTS = ((0, 22), (22, 21), (43, 21))  # (first bit, bits) of the parts of a hash
FEW = 16  # hashes of a value that are still looked at where the pairs are too many
_KEPT = 1_000_000  # pairs found before those that others outdo are dropped
_AT_ONCE = 1 << 20  # pairs of hashes compared in one piece


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """Near-duplicate pairs (`PAIR`) with similarity >= `limit`; `complete` is False if the search was cut short."""

    pairs: NDArray[np.void]
    limit: float
    complete: bool


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """All images that are looked at together, of all parts: int64 [N] `parts` and `labels` (-1: not comparable)."""

    records: Records
    parts: Ints
    labels: Ints

    def groups(self) -> tuple[Ints, ...]:
        """Return the rows of pictures that are equal pixel by pixel, single colours left out; largest groups first."""
        rows = np.flatnonzero((self.records["state"] == SHOWING) | (self.records["state"] == DULL))
        digest = self.records["digest"][rows]
        order = np.lexsort((rows, digest[:, 1], digest[:, 0]))
        rows, digest = rows[order], digest[order]
        new = np.flatnonzero((digest[1:] != digest[:-1]).any(axis=1)) + 1
        starts, ends = np.append(0, new), np.append(new, len(rows))
        several = np.flatnonzero(ends - starts > 1)
        several = several[np.argsort(starts[several] - ends[several], kind="stable")]
        return tuple(rows[starts[group] : ends[group]] for group in several)

    def near(self) -> Near:
        """Return the pictures that look alike but are not equal.

        For each picture the earlier one that is most alike of each relation: of its label or another, of its part or
        another. Of equal pictures in one part with one label the first stands for all.
        """
        rows = np.flatnonzero(self.records["state"] == SHOWING)
        digest = self.records["digest"][rows]
        keys = (rows, self.labels[rows], self.parts[rows], digest[:, 1], digest[:, 0])
        order = np.lexsort(keys)
        same = np.ones(max(len(rows) - 1, 0), bool)
        for key in keys[1:]:
            same &= key[order][1:] == key[order][:-1]
        rows = np.sort(rows[order[np.append(True, ~same)[: len(rows)]]])  # one of each picture, part and label
        hashes, found, complete = self.records["hash"][rows], np.zeros(0, PAIR), True
        for mirrored in (False, True):
            search = Search(hashes, RADIUS, MIRROR if mirrored else 0, limit=PER_IMAGE * (len(rows) + 1000))
            waiting: list[NDArray[np.void]] = []
            for one, other, _ in search.pairs():
                waiting.append(self._alike(rows[one], rows[other], mirrored))
                if sum(map(len, waiting)) > _KEPT:
                    found, waiting = _best(np.concatenate([found, *waiting])), []
            found = _best(np.concatenate([found, *waiting]))
            complete &= search.complete
        limit = _limit(found, len(rows))
        otherwise = (found["relation"] & OTHER_LABEL) > 0
        listed = found["likeness"] >= np.where(otherwise, max(limit, ALIKE_OTHERWISE), limit)
        return Near(found[listed], limit, complete)

    def _alike(self, one: Ints, other: Ints, mirrored: bool) -> NDArray[np.void]:
        """Return those pairs of rows, one < other, that do look alike and are not the very same."""
        marks, digests = self.records["mark"], self.records["digest"]
        measured = likeness(marks[one], marks[other], mirrored=mirrored)
        known = (self.labels[one] >= 0) & (self.labels[other] >= 0)
        differs = known & (self.labels[one] != self.labels[other])
        chosen = (measured >= ALIKE) & (digests[one] != digests[other]).any(axis=1)
        one, other, differs = one[chosen], other[chosen], differs[chosen]
        pairs = np.zeros(len(one), PAIR)
        pairs["earlier"], pairs["later"] = one, other
        pairs["likeness"], pairs["mirrored"] = measured[chosen], mirrored
        pairs["relation"] = OTHER_LABEL * differs + OTHER_PART * (self.parts[one] != self.parts[other])
        return pairs


def _limit(pairs: NDArray[np.void], images: int) -> float:
    """Return from which likeness on pairs are worth a look: higher where pictures are alike by nature.

    Copies have one label, but for a mistake here and there. Where many pictures look like others, and many of those
    have another label, most pairs are no copies (clothes before a black ground); then it lies where hardly any has.
    """
    ordered = pairs[np.argsort(-pairs["likeness"], kind="stable")]
    otherwise = np.cumsum((ordered["relation"] & OTHER_LABEL) > 0)
    if len(pairs) < COMMON * images or otherwise[-1:].sum() < SEVERAL:
        return ALIKE
    few = np.flatnonzero(otherwise <= RARE * np.arange(1, len(pairs) + 1))
    return min(ALIKE_AT_MOST, float(ordered["likeness"][few[-1]])) if len(few) else ALIKE_AT_MOST


def _best(pairs: NDArray[np.void]) -> NDArray[np.void]:
    """Keep for each picture and relation the pair that is most alike; in the order of that."""
    pairs = pairs[np.lexsort((pairs["earlier"], -pairs["likeness"], pairs["relation"], pairs["later"]))]
    same = (pairs["later"][1:] == pairs["later"][:-1]) & (pairs["relation"][1:] == pairs["relation"][:-1])
    pairs = pairs[np.append(True, ~same)[: len(pairs)]]
    return pairs[np.argsort(-pairs["likeness"], kind="stable")]


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

    def pairs(self) -> Iterator[tuple[Ints, Ints, NDArray[np.uint8]]]:
        """Yield (first, second, bits that differ) in pieces, first < second, each pair once."""
        for part, (first_bit, bits) in enumerate(PARTS):
            values = part_of(self.hashes, part)
            order = np.argsort(values, kind="stable")
            ordered = values[order]
            starts = np.zeros((1 << bits) + 1, np.int32)
            np.cumsum(np.bincount(ordered, minlength=1 << bits), out=starts[1:])
            turned = self.turned >> first_bit & (1 << bits) - 1
            counts = range(self.radius // len(PARTS) + 1)  # of bits that may differ in one part at least
            for places in chain.from_iterable(combinations(range(bits), count) for count in counts):
                if self.looked_at > 2 * self.limit:
                    return
                mask = sum(1 << place for place in places) ^ turned
                # of two values that differ by a mask exactly one lacks its highest bit: each pair is met once
                lacking = ordered & (1 << mask.bit_length() - 1) == 0 if mask else np.ones(len(ordered), bool)
                rows = np.flatnonzero(lacking)
                wanted = ordered[rows] ^ mask
                begin, end = starts[wanted].astype(np.int64), starts[wanted + 1].astype(np.int64)
                if not mask:
                    begin = rows + 1
                some = begin < end
                yield from self._near(order, rows[some], begin[some], end[some], part)

    def _near(
        self, order: Ints, rows: Ints, begin: Ints, end: Ints, part: int
    ) -> Iterator[tuple[Ints, Ints, NDArray[np.uint8]]]:
        """Yield those pairs of `rows` with all between `begin` and `end` that are near; all are places in `order`.

        Those that an earlier part has found are left out.
        """
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
            other = order[places]
            self.looked_at += len(places)
            differing = self.hashes[one] ^ self.hashes[other] ^ np.uint64(self.turned)
            distances = np.bitwise_count(differing)
            near = distances <= self.radius
            for earlier in range(part):
                near[near] = np.bitwise_count(part_of(differing[near], earlier)) > self.radius // len(PARTS)
            if near.any():
                one, other = one[near], other[near]
                yield np.minimum(one, other), np.maximum(one, other), distances[near]
            at = stop


def part_of(hashes: Hashes, part: int) -> Ints:
    """Return the numbers that one of the parts of each hash makes."""
    first_bit, bits = PARTS[part]
    found: Ints = (hashes >> np.uint64(first_bit) & np.uint64((1 << bits) - 1)).astype(np.int64)
    return found
