"""Turns what a survey saw of a data set into findings, the most severe first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from eyas.audit.duplicates import OTHER_LABEL, OTHER_PART, Pictures
from eyas.audit.likeness import ALIKE
from eyas.audit.survey import PLAIN, Survey
from eyas.data.classes import plain
from eyas.data.findings import ASPECT, FEW_IMAGES, IMBALANCE, KINDS, Audit, Finding, Overlap, PartSummary, Seen
from eyas.data.images.imageset import ImageSet
from eyas.data.parts import Part

MEMBERS = 100  # images of a group that are listed
MANY = 0.2  # of all pictures with a near duplicate in their part: then that is no rare thing
LISTED = 100_000  # findings of a kind that are listed


class Auditing:
    """An audit being made of `parts` and what was seen of each."""

    def __init__(self, parts: Sequence[Part], surveys: Sequence[Survey]) -> None:
        """Take what was seen."""
        self.parts, self.surveys = parts, surveys
        counts = [len(part.images) for part in parts]
        self.starts = np.cumsum([0, *counts])
        numbers: dict[str, int] = {}
        for name in (name for part in parts for name in part.images.classes):
            numbers.setdefault(plain(name), len(numbers))
        labels = []  # by the classes' plain names; -1 where numbers could not be matched with names
        for part in parts:
            known = not part.mismatch or part.images.named
            of_class = np.array([numbers[plain(name)] if known else -1 for name in part.images.classes], np.int64)
            labels.append(of_class[part.images.labels])
        records = np.concatenate([survey.records for survey in surveys])
        self.pictures = Pictures(records, np.repeat(np.arange(len(parts)), counts), np.concatenate(labels))
        self.totals: dict[str, int] = defaultdict(int)
        self.listed: dict[str, list[Finding]] = defaultdict(list)
        self.same: dict[tuple[int, int], set[int]] = defaultdict(set)
        self.alike: dict[tuple[int, int], set[int]] = defaultdict(set)

    def audit(self) -> Audit:
        """Return what there is to find."""
        self._add_equal()
        warnings = list(self._add_near())
        for number, (part, survey) in enumerate(zip(self.parts, self.surveys, strict=True)):
            for finding in findings_of_part(part, survey, training=number == 0):
                self._add(finding)
        for problem in dict.fromkeys(problem for part in self.parts for problem in part.problems):
            self._add(Finding("line", (), problem))
        for mismatch in (part.mismatch for part in self.parts if part.mismatch):
            self._add(Finding("mismatch", (), mismatch))
        # classes whose names differ in nothing but case, spaces, hyphens or Unicode forms
        spellings: dict[str, dict[str, None]] = defaultdict(dict)
        for name in (name for part in self.parts for name in part.images.classes):
            spellings[plain(name)][name] = None
        for names in (names for names in spellings.values() if len(names) > 1):
            self._add(Finding("names", (), ", ".join(map(repr, names)), count=len(names)))
        notes = dict.fromkeys(
            note
            for images, survey in zip((part.images for part in self.parts), self.surveys, strict=True)
            for note in (*images.notes, *survey.greys(images.grey_range).notes(images.source, images.grey_range))
        )
        overlaps = []
        for later, earlier in sorted(self.same.keys() | self.alike.keys()):
            same = self.same[later, earlier]
            alike = self.alike[later, earlier] - same
            overlaps.append(Overlap(self.parts[later].name, self.parts[earlier].name, len(same), len(alike)))
        return Audit(
            tuple(_summary(part, survey) for part, survey in zip(self.parts, self.surveys, strict=True)),
            tuple(overlaps),
            {kind: self.totals[kind] for kind in KINDS if self.totals[kind]},
            tuple(finding for kind in KINDS for finding in self.listed[kind]),
            (*notes, *warnings),
        )

    def _add(self, finding: Finding) -> None:
        self.totals[finding.kind] += 1
        if len(self.listed[finding.kind]) < LISTED:
            self.listed[finding.kind].append(finding)

    def _add_equal(self) -> None:
        """Add groups of equal pictures, each once, by the worst that can be said of it."""
        for rows in self.pictures.groups():
            labels, parts = self.pictures.labels[rows], self.pictures.parts[rows]
            crossing = bool((parts != parts[0]).any())
            kind = "leak" if crossing else "duplicate"
            kind = "conflict" if len(np.unique(labels[labels >= 0])) > 1 else kind
            for part in np.unique(parts) if crossing else ():
                for earlier in np.unique(parts[parts < part]):
                    self.same[int(part), int(earlier)].update(rows[parts == part].tolist())
            # the first of every label and part in front: what makes the finding is seen first
            _, firsts = np.unique(np.stack([labels, parts], axis=1), axis=0, return_index=True)
            firsts = np.sort(firsts)
            varied = np.concatenate([rows[firsts], np.delete(rows, firsts)])
            shown = tuple(self._seen(row) for row in varied[:MEMBERS].tolist())
            self._add(Finding(kind, shown, count=len(rows), likeness=1.0))

    def _add_near(self) -> Iterator[str]:
        """Add pairs of pictures that look alike; yield what to think of them."""
        near = self.pictures.near()
        for later, earlier, relation, likeness, mirrored in near.pairs.tolist():
            if relation & OTHER_PART:
                ends = int(self.pictures.parts[later]), int(self.pictures.parts[earlier])
                self.alike[ends].add(later)
            kind = "near-leak" if relation & OTHER_PART else "near-duplicate"
            kind = "near-conflict" if relation & OTHER_LABEL else kind
            shown = (self._seen(later), self._seen(earlier))
            self._add(Finding(kind, shown, count=2, likeness=round(likeness, 3), mirrored=mirrored))
        if near.limit > ALIKE:
            yield (
                "pictures of this set are alike by nature, also with different labels: near duplicates are listed from "
                f"a likeness of {near.limit:.3f} on, not of {ALIKE:g}"
            )
        if self.totals["near-duplicate"] > MANY * len(self.pictures.records):
            yield (
                f"{self.totals['near-duplicate']:,} pictures look like another one of their part, such as frames of a "
                "film: keep those that belong together on one side when you split the set"
            )
        if not near.complete:
            yield "very many pictures look alike: not all pairs of them were compared"

    def _seen(self, row: int) -> Seen:
        number = int(self.pictures.parts[row])
        return _seen(self.parts[number], row - int(self.starts[number]))


def _seen(part: Part, index: int) -> Seen:
    images = part.images
    return Seen(part.name, index, images.place(index), images.classes[images.labels[index]])


def findings_of_part(part: Part, survey: Survey, *, training: bool) -> Iterator[Finding]:
    """Yield what is wrong with files, classes without images or with too few, sizes that differ much, long pictures."""
    for index, reason in sorted(survey.reasons.items()):
        seen = _seen(part, index)
        yield Finding("unreadable", (seen,), reason.removeprefix(f"{seen.place}: "), count=1)
    for index in np.flatnonzero(survey.records["state"] == PLAIN).tolist():
        yield Finding("plain", (_seen(part, index),), count=1)
    images, counts = part.images, _counts(part.images)
    for number in np.flatnonzero(counts == 0).tolist():
        yield Finding("missing", (), f"{part.name}: {images.classes[number]}")
    for number in np.flatnonzero((counts > 0) & (counts < FEW_IMAGES)).tolist() if training else ():
        yield Finding("few", (), f"{part.name}: {images.classes[number]}: {counts[number]}", count=int(counts[number]))
    some = counts[counts > 0]
    if training and some.max() >= IMBALANCE * some.min():
        most, least = (images.classes[int(np.flatnonzero(counts == count)[0])] for count in (some.max(), some.min()))
        yield Finding("imbalance", (), f"{part.name}: {most}: {some.max():,}; {least}: {some.min():,}")
    width, height = (survey.records[name].astype(np.int64) for name in ("width", "height"))
    longer, shorter = np.maximum(width, height), np.minimum(width, height)
    for index in np.flatnonzero(longer > ASPECT * shorter).tolist():
        yield Finding("aspect", (_seen(part, index),), f"{width[index]} x {height[index]} pixels", count=1)


def _counts(images: ImageSet) -> NDArray[np.int64]:
    return np.bincount(images.labels, minlength=len(images.classes))


def _summary(part: Part, survey: Survey) -> PartSummary:
    images, records = part.images, survey.records[survey.readable]
    widths, heights = (
        (int(values.min()), int(np.median(values)), int(values.max())) if len(values) else None
        for values in (records["width"], records["height"])
    )
    numbers, counts = np.unique(records["kind"], return_counts=True)
    kinds = [(survey.kinds[numbers[row]], int(counts[row])) for row in np.argsort(-counts, kind="stable")]
    classes = tuple(zip(images.classes, _counts(images).tolist(), strict=True))
    files = tuple((kind, count) for kind, count in kinds if kind)
    return PartSummary(part.name, images.source, len(images), len(survey.reasons), classes, widths, heights, files)
