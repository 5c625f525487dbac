"""The per-class part of a report: precision, recall, F1, and what is mistaken for what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from eyas.evaluation.scores import Scores, wilson

CELLS = 20_000  # of a large confusion matrix, at most: the page stays small
PAIRS = 12  # most frequent confusions in words
FULL = 0.45  # a cell with this share of its class is so strong that its count is written in the page's colour


def class_rows(scores: Scores) -> list[dict[str, Any]]:
    """Return the numbers of each class, lowest F1 first; classes that are not in the set come last.

    `intervals` are (p for precision or r for recall, low, high): 95 %.
    """
    precision, recall, f1 = scores.precision, scores.recall, scores.f1
    called, right = scores.confusion.sum(axis=0), np.diag(scores.confusion)
    return [
        {
            "name": scores.classes[number],
            "images": scores.support[number],
            "precision": precision[number],
            "recall": recall[number],
            "f1": f1[number],
            "intervals": [
                (kind, *wilson(int(right[number]), int(count[number])))
                for kind, count in (("p", called), ("r", scores.support))
                if count[number]
            ],
        }
        for number in np.argsort(np.nan_to_num(f1, nan=2.0), kind="stable").tolist()
    ]


def confusion_table(scores: Scores) -> Iterator[tuple[str, list[tuple[int, str, float]]]]:
    """Yield each true class with a cell for every class: its count, its kinds of style, its strength from 0 to 1."""
    for row, name in enumerate(scores.classes):
        shares = scores.confusion[row] / max(int(scores.support[row]), 1)
        yield name, [
            (int(count), " ".join(["right"] * (row == column) + ["full"] * bool(share > FULL)), float(np.sqrt(share)))
            for column, (count, share) in enumerate(zip(scores.confusion[row], shares, strict=True))
        ]


def confusion_cells(scores: Scores) -> Iterator[tuple[int, int, int, float]]:
    """Yield (true class, what it was called, count, strength from 0 to 1) of the strongest cells that are not empty."""
    shares = np.sqrt(scores.confusion / np.maximum(scores.support, 1)[:, None])
    rows, columns = np.nonzero(scores.confusion)
    for place in np.argsort(-shares[rows, columns], kind="stable")[:CELLS]:
        row, column = int(rows[place]), int(columns[place])
        yield row, column, scores.confusion[row, column], shares[row, column]


def frequent_mistakes(scores: Scores) -> list[tuple[str, str, int, float]]:
    """Return the most frequent mistakes: true class, what it was called, how often, which share of the true class."""
    mistakes = scores.confusion.copy()
    np.fill_diagonal(mistakes, 0)
    pairs = (divmod(int(place), len(mistakes)) for place in np.argsort(-mistakes, axis=None, kind="stable")[:PAIRS])
    return [
        (scores.classes[true], scores.classes[called], count, count / scores.support[true])
        for true, called in pairs
        if (count := mistakes[true, called])
    ]
