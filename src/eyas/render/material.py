"""The values that a report shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image

from eyas.data.findings import Audit
from eyas.evaluation.confidence import Reliability, Threshold
from eyas.evaluation.scores import Scores

DOUBTS = "label-doubts.csv"  # beside the page: every doubted label


@dataclass(frozen=True, slots=True)
class Shot:
    """One sample with its pictures; None where one cannot be had."""

    picture: Image.Image | None
    heat: Image.Image | None
    label: str
    answer: str
    given: float  # probability of the label
    probability: float  # of the answer
    place: str


@dataclass(frozen=True, slots=True)
class Shots:
    """Some of `count` samples, the strongest first; `elsewhere` of them are shown in another place."""

    count: int
    shown: tuple[Shot, ...]
    elsewhere: int = 0


@dataclass(frozen=True, slots=True)
class Calibration:
    """How sure the model is, and how right; and what a temperature would do to it."""

    now: Reliability
    thresholds: tuple[Threshold, ...]
    temperature: float  # that the model carries
    fitted: float | None  # the temperature that fits best; None where none does
    fitted_on: str  # the split that it was fitted on, "" where there is none
    fitted_count: int
    then: Reliability | None  # at the fitted temperature


@dataclass(frozen=True, slots=True)
class Material:
    """Everything on the page."""

    name: str
    model: str
    facts: dict[str, Any]  # of the model file
    rows: tuple[dict[str, str], ...]  # of metrics.csv
    told: tuple[tuple[str, str], ...]  # what the run said at its start
    notes: tuple[tuple[str, bool], ...]  # what it said since, and whether as a warning
    scores: dict[str, Scores]  # by split
    split: str | None  # the one that is shown in full
    calibration: Calibration | None
    errors: Shots | None  # None where the model is no better than guessing
    doubts: Shots | None  # None where it is too often wrong itself to doubt labels, or its answers were not kept
    doubtful: tuple[tuple[str, str, str, float], ...] | None  # path, label, likelier class, its probability
    settings: tuple[tuple[str, str, str], ...]  # (name, value, standard value)
    toml: str
    commands: tuple[tuple[str, str], ...]  # (what for, a key of the words; the command)
    audit: Audit | None  # of all its images, where one was asked for
    missing: tuple[str, ...]  # reasons why pictures are left out
    version: str
