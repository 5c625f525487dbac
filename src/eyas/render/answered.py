"""Pictures with what a model answered: label, answer, probability; the wrong ones marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eyas.events import Pictured
from eyas.metrics import Scores
from eyas.render.charts import GREEN, INK, ORANGE, QUIET, _figure
from eyas.render.lettering import lettered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 8


def answers_chart(shown: Pictured, scores: Scores) -> Figure:
    """Return the pictures in rows of eight, each with its class and the model's answer.

    A wrong one has a thick orange frame, a cross, and both names; a right one a thin green frame and its name.
    """
    across = min(ACROSS, len(shown.pictures))
    down = -(-len(shown.pictures) // across)
    figure = _figure(1.6 * across, 1.95 * down + 0.5)
    names, family = lettered(scores.classes, longest=16)
    grid = figure.subplots(down, across, squeeze=False)
    right = 0
    for axes in grid.flat:
        axes.axis("off")
    for axes, picture, sample in zip(grid.flat, shown.pictures, shown.samples, strict=False):
        label, answer = _label(scores, sample), int(scores.predicted[sample])  # type: ignore[index]
        is_right = label == answer
        right += is_right
        share = _share(scores, sample)
        axes.axis("on")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.imshow(picture)
        for spine in axes.spines.values():
            spine.set(color=GREEN if is_right else ORANGE, linewidth=1.0 if is_right else 4.0)
        said = f"{names[answer]}{share}" if is_right else f"✗ {names[label]}\n→ {names[answer]}{share}"
        style = {"color": INK if is_right else ORANGE, "fontweight": "normal" if is_right else "bold"}
        axes.set_title(said, fontsize=8, fontfamily=family, parse_math=False, **style)
    title = f"{right} of these {len(shown.pictures)} are right (of the whole {shown.split} set: {scores.accuracy:.1%})"
    figure.suptitle(title, fontsize=10, color=QUIET)
    return figure


def _label(scores: Scores, sample: int) -> int:
    return int(scores.targets[sample]) if scores.targets is not None else -1


def _share(scores: Scores, sample: int) -> str:
    """Return the answer's probability in words, nothing where the logits are not kept."""
    if scores.logits is None:
        return ""
    logits = scores.logits[sample].astype(np.float64)
    return f" {1 / np.exp(logits - logits.max()).sum():.0%}"
