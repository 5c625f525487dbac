"""Which pictures of a survey are the same, and which look alike: as groups and pairs of row numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyas.audit.likeness import ALIKE, ALIKE_AT_MOST, ALIKE_OTHERWISE, MIRROR, RADIUS, likeness
from eyas.audit.neighbours import Search
from eyas.audit.survey import DULL, SHOWING, Records

Ints = NDArray[np.int64]
PAIR = np.dtype([("later", "<i8"), ("earlier", "<i8"), ("relation", "u1"), ("likeness", "<f4"), ("mirrored", "?")])
OTHER_LABEL, OTHER_PART = 2, 1  # bits of `relation`
PER_IMAGE = 1_000  # pairs to look at for each image; more only where very many look alike
COMMON, SEVERAL = 0.05, 50  # pairs for an image, and pairs with different labels, from which on likeness is common
RARE = 0.001  # of the pairs: so many may have different labels then
_KEPT = 1_000_000  # pairs found before those that others outdo are dropped


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """`pairs` of `PAIR` that look alike, from a likeness of `limit` on; whether all were looked for."""

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
        rows = self._representatives()
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

    def _representatives(self) -> Ints:
        """Return the rows to compare, one of each picture, part and label."""
        rows = np.flatnonzero(self.records["state"] == SHOWING)
        digest = self.records["digest"][rows]
        keys = (rows, self.labels[rows], self.parts[rows], digest[:, 1], digest[:, 0])
        order = np.lexsort(keys)
        same = np.ones(max(len(rows) - 1, 0), bool)
        for key in keys[1:]:
            same &= key[order][1:] == key[order][:-1]
        return np.sort(rows[order[np.append(True, ~same)[: len(rows)]]])

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
