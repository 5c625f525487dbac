"""What a service that a run is logged to is told, and what it must do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eyas.training.events import Setting

CLASSES = ("class", "precision", "recall", "f1", "samples")


@dataclass(frozen=True, slots=True)
class Begun:
    """What a service is told first."""

    directory: Path
    name: str  # the run's
    settings: dict[str, Setting]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Points of curves at a step, or at an epoch."""

    axis: str  # "step" or "epoch"
    at: int
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Ended:
    """What a service is told last: the scores of each class in the best epoch, and the best model if it gets it."""

    reason: str
    split: str
    classes: tuple[tuple[str, float, float, float, int], ...]  # the columns of `CLASSES`; nan where there is no score
    model: Path | None


class Service(Protocol):
    """A service that a run is logged to. What its methods raise ends the logging, not the training."""

    name: str

    def begin(self, begun: Begun, known: str | None) -> str:
        """Open the run, the one of this id where it is known; return its id."""

    def place(self) -> str:
        """Return which run it is and where it is seen: its address, or its folder and what sends it later."""

    def log(self, numbers: Numbers) -> None:
        """Take points."""

    def end(self, ended: Ended) -> None:
        """Take what belongs to the whole run."""

    def close(self, *, finished: bool) -> None:
        """Close the run: finished, or broken off."""
