"""A small run as its events: ten steps an epoch, the loss recorded every fifth, two classes of true names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eyas.evaluation.scores import Scores
from eyas.training.events import EpochOver, EpochTrained, Evaluated, Event, Finished, Progress, Saved, Started, Trained

STEPS = 10
CLASSES = ("cat", "dog/wolf", "鸟")


def scores(right: int = 80, classes: tuple[str, ...] = CLASSES) -> Scores:
    """Return scores of 100 samples a class, `right` of which are called what they are."""
    count = len(classes)
    confusion = np.eye(count, dtype=np.int64) * right
    confusion += np.roll(np.eye(count, dtype=np.int64), 1, axis=1) * (100 - right)
    return Scores(classes, confusion, loss_sum=100.0 * count * (1.5 - right / 100))


def started(folder: Path, step: int = 0, **changes: object) -> Started:
    """Return the first event of a run that begins or goes on at `step`."""
    values: dict[str, object] = {
        "directory": folder,
        "step": step,
        "steps_per_epoch": STEPS,
        "epochs": 3,
        "classes": CLASSES,
        "facts": (("model", "alexnet | [bold] <b>"), ("device", "cpu, 2 cores")),
        "shapes": (("batch", "uint8 [64, 3, 32, 32]", "as decoded"), ("logits", "[64, 3]", "")),
        "first_batch": np.full((4, 8, 8, 3), 127, dtype=np.uint8),
        "first_labels": ("cat", "dog/wolf", "鸟", "cat"),
        "selects_on": "test",
    }
    return Started(**(values | changes))  # type: ignore[arg-type]


def steps(first: int, last: int, *, shift: float = 0.0, split: str = "test") -> Iterator[Event]:
    """Yield what a run tells of its steps `first` to `last`; `shift` marks the numbers of one attempt."""
    for step in range(first, last + 1):
        epoch = (step - 1) // STEPS + 1
        yield Progress(step, 2.0, 1234.0, 0.03)
        if step % 5 == 0:
            yield Trained(step, epoch, 2.0 - step / 100 + shift, 320, 0.01)
        if step % STEPS == 0:
            yield EpochTrained(step, epoch, 2.0 - epoch / 10 + shift, 0.5, 640, 0.01, 12.5, 1234.0, 0.03)
            yield Progress(step, 2.0, 1234.0, 0.03, stage=split, done=100, total=300)
            yield Evaluated(step, epoch, split, scores(70 + epoch), True, epoch != 3, 1.5)
            yield Saved(step, Path(f"epoch-{epoch:03}.safetensors"), "epoch", 0.1)
            yield EpochOver(step, epoch, 15.0, 0.1)


def finished(reason: str = "complete", *, step: int = 30, select: str = "test") -> Finished:
    """Return the last event of a run whose second epoch was the best."""
    return Finished(step, step // STEPS, reason, 2, 0.72, "accuracy", select, 47.0)


def whole(folder: Path) -> list[Event]:
    """Return every event of a run that was never cut off."""
    return [started(folder), *steps(1, 30), finished()]
