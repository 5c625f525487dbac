"""The page of a comparison: the curves of several runs over each other, their differences, their settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eyas.evaluation.measures import measured
from eyas.render.html import page
from eyas.render.language import language
from eyas.render.plots import Curve, column, curves_plot, said_number, said_share

STYLES = [f"run{number}" for number in range(8)]  # curves that can be told apart: those of the first runs


def comparison_page(
    names: Sequence[str], tables: Sequence[Sequence[dict[str, str]]], values: Mapping[str, Any], spoken: str
) -> str:
    """Return the page of a comparison in a language of `LANGUAGES`.

    `tables` are the rows of each run's `metrics.csv`. `values` are `heads` and `runs` (rows in words), `notes`,
    `differences` (in words) and `settings` (name, value in each run).
    """
    words = language(spoken).words
    epochs = [float(epoch) for epoch in range(1, max(map(len, tables), default=0) + 1)]
    runs = list(zip(STYLES, names, tables, strict=False))
    columns = {name.partition("_")[2]: None for rows in tables for row in rows for name in row}
    measures = measured({"accuracy": None, "loss": None, **columns})
    curves = [(one.heading(spoken), one.name, one.is_share, ("test", "val")) for one in measures]
    charts = []
    for name, measure, share, sets in (*curves, (words["lr"], "lr", False, ("",))):
        splits = (*sets, "train") if measure == "loss" else sets
        drawn: dict[str, list[Curve]] = {}
        for split in splits:
            tag = f"{split}_{measure}".lstrip("_")
            drawn[split] = [Curve(kind, column(rows, tag, epochs), run) for kind, run, rows in runs]
        beside = [curve for one in drawn.values() for curve in one]
        said, whole = (said_share, (0.0, 1.0)) if share else (said_number, None)
        for split, one in drawn.items():
            chart = curves_plot(epochs, one, said=said, beside=beside, whole=whole)
            charts += [(name + (f" ({words[split]})" if split else ""), chart)] if chart else []
    more = {"names": names, "legend": [run[:2] for run in runs], "charts": charts, "has_curves": bool(epochs)}
    return page("compare.html", spoken, {**values, **more})
