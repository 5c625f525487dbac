"""The page of a run: one self-contained HTML file that needs nothing else, on any screen and on paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eyas.data.findings import KINDS
from eyas.evaluation.confidence import BINS
from eyas.evaluation.measures import ONCE, measured, numbers_of
from eyas.render.html import page
from eyas.render.language import language
from eyas.render.material import DOUBTS, Material
from eyas.render.per_class import CELLS, class_rows, confusion_cells, confusion_table, frequent_mistakes
from eyas.render.plots import Curve, bars_plot, column, curves_plot, reliability_plot, said_share

SPLITS = ("train", "val", "test")
CLASSES_SHOWN = 25  # of more classes the lowest F1; the others are folded away
COUNTED = 25  # classes up to which a confusion matrix is a table of its counts


def report_page(material: Material, spoken: str) -> str:
    """Return the page of a run in a language of `LANGUAGES`. The same material gives the same text."""
    words = language(spoken).words
    totals = {} if material.audit is None else material.audit.totals
    values: dict[str, Any] = {
        "run": material,
        "scores": None,
        "measures": [],
        "seconds": sum(float(row["seconds"]) for row in material.rows if row.get("seconds")),
        "bins": BINS,
        "doubts_file": DOUBTS,
        "found": [(kind, totals[kind]) for kind in KINDS if totals.get(kind)],
        "leaks": sum(totals.get(kind, 0) for kind in ("leak", "near-leak")),
    }

    values |= course_of_training(material, words)

    # the other measures of each set: the accuracy has its own place
    numbers = {split: numbers_of(scores, ONCE) for split, scores in material.scores.items()}
    others = measured({name: None for found in numbers.values() for name in found}, ONCE)[1:]
    values |= {
        "other_heads": [one.heading(spoken) for one in others],
        "others": {split: [one.said(found) for one in others] for split, found in numbers.items()},
    }

    # the answers on the set that is shown in full
    if material.split is not None:
        scores = material.scores[material.split]
        rows = class_rows(scores)
        shown = rows if len(rows) <= CLASSES_SHOWN + 5 else rows[:CLASSES_SHOWN]
        small = len(rows) <= COUNTED
        values |= {
            "scores": scores,
            "measures": list(zip(values["other_heads"], values["others"][material.split], strict=True)),
            "shown": shown,
            "rest": rows[len(shown) :],
            "table": confusion_table(scores) if small else None,
            "cells": () if small else confusion_cells(scores),
            "most_cells": CELLS if (scores.confusion > 0).sum() > CELLS else None,
            "mistakes": frequent_mistakes(scores),
            "reliability": material.calibration and reliability_plot(material.calibration.now),
        }
    return page("report.html", spoken, values)


def course_of_training(material: Material, words: Mapping[str, str]) -> dict[str, Any]:
    """Return the charts of loss, accuracy, learning rate and time by epoch, with what their legend says."""
    epochs = [float(row["epoch"]) for row in material.rows]
    losses, rights = (
        [Curve(split, column(material.rows, f"{split}_{measure}", epochs), words[split]) for split in SPLITS]
        for measure in ("loss", "accuracy")
    )
    rate = Curve("plain", column(material.rows, "lr", epochs), words["lr"])
    band = [column(material.rows, f"test_accuracy_{end}", epochs) for end in ("low", "high")]
    best = float(material.facts["epoch"])
    return {
        "legend": [(curve.kind, curve.name) for curve in losses if any(value == value for value in curve.values)],
        "banded": any(low == low for low in band[0]),
        "charts": {
            "loss": curves_plot(epochs, losses, best=best),
            "accuracy": curves_plot(epochs, rights, best=best, band=band, said=said_share, whole=(0.0, 1.0)),
            "lr": curves_plot(epochs, [rate], best=best),
            "seconds": bars_plot(epochs, column(material.rows, "seconds", epochs)),
        },
    }
