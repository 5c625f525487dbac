"""The page of a comparison: the curves of several runs over each other, their differences, their settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eyas.render.html import page
from eyas.render.language import language
from eyas.render.plots import Curve, column, curves_plot, said_number, said_share

STYLES = [f"run{number}" for number in range(8)]  # curves that can be told apart: those of the first runs
MEASURES = (
    *(("test_accuracy", "test", "accuracy"), ("val_accuracy", "val", "accuracy"), ("test_loss", "test", "loss")),
    *(("val_loss", "val", "loss"), ("train_loss", "train", "loss"), ("lr", "", "lr")),
)


def comparison_page(
    names: Sequence[str], tables: Sequence[Sequence[dict[str, str]]], values: Mapping[str, Any], spoken: str
) -> str:
    """Return the page of a comparison in a language of `LANGUAGES`.

    `tables` are the rows of each run's `metrics.csv`. `values` are `runs` (rows in words), `notes`, `differences` (in
    words) and `settings` (name, value in each run).
    """
    words = language(spoken).words
    epochs = [float(epoch) for epoch in range(1, max(map(len, tables), default=0) + 1)]
    runs = list(zip(STYLES, names, tables, strict=False))
    drawn = {
        name: [Curve(kind, column(rows, name, epochs), run) for kind, run, rows in runs] for name, _, _ in MEASURES
    }
    charts = []
    for name, split, measure in MEASURES:
        beside = [curve for other, _, same in MEASURES if same == measure for curve in drawn[other]]
        said, whole = (said_share, (0.0, 1.0)) if measure == "accuracy" else (said_number, None)
        chart = curves_plot(epochs, drawn[name], said=said, beside=beside, whole=whole)
        charts += [(words[measure] + (f" ({words[split]})" if split else ""), chart)] if chart else []
    more = {"names": names, "legend": [run[:2] for run in runs], "charts": charts, "has_curves": bool(epochs)}
    return page("compare.html", spoken, {**values, **more})
