"""A mosaic of images with captions: a batch as the network sees it, or a model's predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eyas.evaluation.confidence import softmax
from eyas.evaluation.scores import Scores
from eyas.render.charts import GREEN, INK, ORANGE, QUIET, new_figure
from eyas.render.lettering import lettered
from eyas.training.events import Pictured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 8
GAP = 0.08  # between two pictures, of one's width
LINE = 0.16  # height of a line of words, of a picture's width


@dataclass(frozen=True, slots=True)
class Caption:
    """The words above a picture, and how it is framed."""

    words: str
    colour: str = INK
    weight: str = "normal"
    frame: float = 0.0  # points; 0: none


def pictures_chart(pictures: np.ndarray, labels: Sequence[str]) -> Figure:
    """Return pictures (uint8 [n, H, W, 3]), each with its label."""
    names, family = lettered(labels, longest=16)
    return _mosaic(pictures, [Caption(name) for name in names], family, lines=1)


def answers_chart(shown: Pictured, scores: Scores) -> Figure:
    """Return the pictures of a split, each with its class and the model's answer.

    A wrong one has a thick orange frame, a cross, and both names; a right one a thin green frame and its name.
    """
    names, family = lettered(scores.classes, longest=16)
    captions = []
    for sample in shown.samples:
        label = -1 if scores.targets is None else int(scores.targets[sample])
        answer = int(scores.predicted[sample])  # type: ignore[index]
        share = ""  # the answer's probability, where the logits are kept
        if scores.logits is not None:
            share = f" {softmax(scores.logits[sample : sample + 1]).max():.0%}"
        if label == answer:
            captions.append(Caption(f"{names[answer]}{share}", GREEN, frame=1.0))
        else:
            captions.append(Caption(f"✗ {names[label]}\n→ {names[answer]}{share}", ORANGE, "bold", frame=4.0))
    right = sum(caption.colour == GREEN for caption in captions)
    title = f"{right} of these {len(captions)} are right (of the whole {shown.split} set: {scores.accuracy:.1%})"
    return _mosaic(shown.pictures, captions, family, lines=2, title=title)


def _mosaic(
    pictures: np.ndarray, captions: Sequence[Caption], family: list[str], *, lines: int, title: str = ""
) -> Figure:
    """Return all pictures in one pair of axes: axes for each took half a second to draw."""
    from matplotlib.patches import Rectangle

    across = min(ACROSS, len(pictures))
    down = -(-len(pictures) // across)
    tall = pictures.shape[1] / pictures.shape[2]
    row = tall + LINE * lines + GAP
    figure = new_figure(1.5 * across, 1.5 * row * down + (0.4 if title else 0.0))
    axes = figure.add_subplot()
    axes.axis("off")
    for place, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, bottom = (place % across) * (1 + GAP), -(place // across + 1) * row
        axes.imshow(picture, extent=(left, left + 1, bottom, bottom + tall), aspect="equal")
        style: dict[str, Any] = {"fontsize": 8, "fontfamily": family, "fontweight": caption.weight, "ha": "center"}
        words = INK if caption.weight == "normal" else caption.colour
        axes.text(left + 0.5, bottom + tall + 0.03, caption.words, color=words, parse_math=False, **style)
        if caption.frame:
            axes.add_patch(
                Rectangle((left, bottom), 1, tall, fill=False, edgecolor=caption.colour, linewidth=caption.frame)
            )
    axes.set_xlim(-GAP, across * (1 + GAP))
    axes.set_ylim(-down * row - GAP, 0)
    if title:
        figure.suptitle(title, fontsize=10, color=QUIET)
    return figure
