"""Draws the charts of a set's scores into a folder."""

from __future__ import annotations

from pathlib import Path

from eyas.evaluation.scores import Scores
from eyas.files.atomic import make_folder
from eyas.render.charts import confusion_chart, per_class_chart, save_chart


def save_scores(scores: Scores, folder: Path) -> None:
    """Write `per-class.svg` and `confusion.svg` into `folder`. Raises `FileError` where the disk refuses it."""
    make_folder(folder)
    save_chart(per_class_chart(scores), folder / "per-class.svg")
    save_chart(confusion_chart(scores), folder / "confusion.svg")
