"""The kinds of findings of an audit, most severe first, and findings as frozen values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

FEW_IMAGES = 10  # a class with less has too few to learn from
IMBALANCE = 10.0  # times that the largest class has as many images as the smallest
ASPECT = 3.0  # times that an extreme picture is as long as wide, or as wide as long


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding: its title, what to do about it, and whether `--strict` fails on it."""

    title: str
    remedy: str
    wrong: bool = True


KINDS = {  # the worst first
    "conflict": Kind(
        "the same picture with different labels",
        "one label at least is wrong, or the picture shows both: correct it, or remove the picture",
    ),
    "leak": Kind(
        "the same picture in two parts",
        "what was trained on measures nothing: remove it from one of them, best from training",
    ),
    "near-conflict": Kind(
        "nearly the same picture with different labels",
        "look at both: where they show the same thing, one label is wrong",
    ),
    "near-leak": Kind(
        "nearly the same picture in two parts",
        "look at both: a copy or the next frame of a film makes the measured number too good",
    ),
    "unreadable": Kind("unreadable files", "mend or remove them, or train without them: --skip-unreadable"),
    "line": Kind("lines of the list that cannot be used", "correct the lines; training stops at them"),
    "mismatch": Kind("classes that do not match", "write the classes alike in all parts"),
    "names": Kind("classes whose names hardly differ", "if they mean the same, write them alike"),
    "missing": Kind("classes without an image", "give them images, or remove them", False),
    "few": Kind(f"classes with fewer than {FEW_IMAGES} images", "collect more images of them", False),
    "duplicate": Kind("the same picture several times in a part", "keep one: the others only weigh it higher", False),
    "near-duplicate": Kind(
        "nearly the same picture in a part", "harmless where wanted; keep them on one side when you split the set",
        False,
    ),
    "plain": Kind("pictures of a single colour", "remove them unless they are meant", False),
    "aspect": Kind(
        f"pictures more than {ASPECT:g} times as long as wide",
        "a training's --resize stretch distorts them and crop cuts much off; --resize pad keeps them whole",
        False,
    ),
    "imbalance": Kind(
        f"the largest class has {IMBALANCE:g} times as many images as the smallest, or more",
        "look at the scores of each class; a training's --class-weights balanced makes every class weigh the same",
        False,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """An image of a finding: its split, its number there, its place (`LIST:LINE: PATH` or `SET#NUMBER`), its class."""

    part: str
    index: int
    place: str
    label: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: `kind` is a key of `KINDS`; `reason` gives details, if any.

    `images` are the first `MEMBERS` of `count`. `likeness` is 1 for equal pixels, less for similar images.
    """

    kind: str
    images: tuple[Seen, ...]
    reason: str = ""
    count: int = 0
    likeness: float | None = None
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class PartSummary:
    """A part in numbers. `classes` are (name, images); sizes are (least, median, most) pixels of the readable images.

    `kinds` are (format and mode of the files, number), the most frequent first.
    """

    name: str
    source: str
    images: int
    unreadable: int
    classes: tuple[tuple[str, int], ...]
    widths: tuple[int, int, int] | None
    heights: tuple[int, int, int] | None
    kinds: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many images of `part` are, or look like, images of the earlier part `of`."""

    part: str
    of: str
    same: int
    alike: int


@dataclass(frozen=True, slots=True)
class Audit:
    """The findings in a data set, most severe first. `totals` also counts findings that are not listed."""

    parts: tuple[PartSummary, ...]
    overlaps: tuple[Overlap, ...]
    totals: dict[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def wrong(self) -> bool:
        """Whether any finding makes results wrong or stops training."""
        return any(KINDS[kind].wrong for kind in self.totals)

    def of(self, kind: str) -> tuple[Finding, ...]:
        """Return the findings of one kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return asdict(self)
