"""What became of one image, and what an image is called that no class fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eyas.data.images.greys import Greys
    from eyas.model.classifier import Prediction


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one file: a prediction, or the reason why there is none."""

    path: str
    prediction: Prediction | None
    error: str = ""
    label: str = ""  # what the file is called: the likeliest class, or `unknown_name`; "" where it cannot be read
    greys: Greys | None = None  # what a file of more than 8 bits holds


def unknown_name(classes: Sequence[str]) -> str:
    """Return `unknown`, with as many underscores in front that no class is called so, however it is capitalised."""
    taken, name = {label.casefold() for label in classes}, "unknown"
    while name in taken:
        name = f"_{name}"
    return name


def label_of(prediction: Prediction, unknown_below: float, unknown: str) -> str:
    """Return what an image is called: `unknown` where its largest probability is below a bound (0: never)."""
    sure = unknown_below <= 0 or prediction.probability >= unknown_below  # no number (nan) is sure of nothing
    return prediction.label if sure else unknown
