"""Matplotlib charts of a run: scores per class, confusion matrix, curves; without global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eyas.evaluation.scores import Scores
from eyas.files.atomic import atomic_path
from eyas.render.lettering import lettered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours (2008), told apart by all common kinds of colour vision; shapes say the same again
BLUE, ORANGE, GREEN, INK, QUIET, LINE = "#0072B2", "#D55E00", "#009E73", "#1F2933", "#6B7785", "#D9DEE3"
SPLITS = {"train": (QUIET, "o", ":"), "val": (ORANGE, "s", "--"), "test": (BLUE, "D", "-")}
CLASSES_SHOWN = 40  # above this, the chart of classes shows only the WORST_SHOWN worst
WORST_SHOWN = 20
COUNTS_SHOWN = 20  # classes up to which a confusion matrix has room for its counts
CHARACTERS = 12  # of the small print that go into an inch
NAMES_SHOWN = 60  # classes up to which it has room for their names


def per_class_chart(scores: Scores) -> Figure:
    """Return precision, recall and F1 of each class as dots, lowest F1 first; of many classes the worst."""
    order = np.argsort(np.nan_to_num(scores.f1, nan=2.0), kind="stable")  # classes without a score come last
    shown = order if len(order) <= CLASSES_SHOWN else order[:WORST_SHOWN]
    rows = np.arange(len(shown))
    figure = new_figure(8.6, 1.9 + 0.28 * len(shown))
    axes = figure.add_subplot()
    measures = {
        "precision": (scores.precision[shown], ">", ORANGE, "none", 44),
        "recall": (scores.recall[shown], "s", GREEN, "none", 34),
        "F1": (scores.f1[shown], "o", BLUE, BLUE, 40),
    }
    values = np.array([value for value, *_ in measures.values()])
    known = ~np.isnan(values).all(axis=0)
    spans = np.nan_to_num(values[:, known], nan=np.nanmin(values) if known.any() else 0.0)
    axes.hlines(rows[known], spans.min(axis=0), spans.max(axis=0), color=LINE, linewidth=2.5, zorder=1)
    for name, (value, marker, edge, face, size) in measures.items():
        style: dict[str, Any] = {"edgecolors": edge, "facecolors": face, "linewidths": 1.6, "label": name}
        # the hollow ones over the filled one: where all three fall together each can still be seen
        axes.scatter(value, rows, size, marker=marker, zorder=3 if face == "none" else 2, **style)
    names, family = lettered([scores.classes[number] for number in shown])
    labels = [f"{name}  ({scores.support[number]:,})" for name, number in zip(names, shown, strict=True)]
    axes.set_yticks(rows, labels, fontfamily=family, parse_math=False)
    _plain(axes)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    # the axis of shares fits the values, in tenths, with room for the dots at its ends
    low = np.floor(np.nanmin(values) * 10 - 0.2) / 10 if known.any() else 0.0
    low = max(min(low, 0.8), 0.0)
    axes.set_xlim(low - 0.03 * (1 - low), 1 + 0.03 * (1 - low))
    axes.xaxis.set_major_formatter(_tick)
    axes.grid(axis="x", color=LINE, linewidth=0.7)
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "ha": "right", "fontsize": 9}
    for row, value in enumerate(scores.f1[shown]):  # at the right end of each row
        text = "no samples" if np.isnan(value) else _percent(value)
        axes.annotate(text, (1.12, row), color=INK, annotation_clip=False, **place)
    axes.annotate("F1", (1.12, -0.9), color=QUIET, annotation_clip=False, **place)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    note = "" if len(shown) == len(order) else f": the {len(shown)} lowest F1 of {len(order)} classes"
    _title(
        axes,
        f"Scores per class{note}",
        f"class (samples), lowest F1 first; mean F1 {_percent(scores.macro_f1)}",
    )
    figure.legend(loc="outside lower center", ncols=3, frameon=False, labelcolor=INK)
    return figure


def confusion_chart(scores: Scores) -> Figure:
    """Return the confusion matrix: shares of each true class in colour, counts where there is room."""
    from matplotlib.colors import PowerNorm

    count = len(scores.classes)
    shares = scores.confusion / np.maximum(scores.support, 1)[:, None]
    named = max(map(len, scores.classes)) if count <= NAMES_SHOWN else 4
    side = min(3.4 + 0.34 * count, 9.0) + 0.08 * min(named, 24)  # room for the names, in inches
    figure = new_figure(side + 1.4, side)
    axes = figure.add_subplot()
    # a square-root scale: confusions of a few per cent are what the picture is looked at for
    norm = PowerNorm(0.5, vmin=0, vmax=1)
    image = axes.imshow(shares, cmap="Blues", norm=norm, interpolation="nearest", rasterized=count > NAMES_SHOWN)
    for (row, column), number in np.ndenumerate(scores.confusion) if count <= COUNTS_SHOWN else ():
        if number:
            colour = "white" if shares[row, column] > 0.3 else INK
            text = f"{number:,}" if number < 10_000 else f"{number / 1000:.0f}k"
            size = 11 if count <= 6 else 9 if count <= 12 else 7
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
    _plain(axes)
    axes.spines[:].set_visible(False)
    if count <= NAMES_SHOWN:  # else the axes number the classes
        names, family = lettered(scores.classes)
        style: dict[str, Any] = {"fontsize": 10 if count <= 12 else 8 if count <= 30 else 6.5, "fontfamily": family}
        style |= {"parse_math": False, "color": INK}
        axes.set_yticks(np.arange(count), names, **style)
        axes.set_xticks(np.arange(count), names, rotation=90 if count > 3 else 0, **style)
        axes.tick_params(length=0)
        edges = np.arange(count + 1) - 0.5
        axes.hlines(edges, -0.5, count - 0.5, color="white", linewidth=1)
        axes.vlines(edges, -0.5, count - 0.5, color="white", linewidth=1)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    marks = [0, 0.01, 0.05, 0.1, 0.25, 0.5, 1]
    bar = figure.colorbar(image, ax=axes, shrink=0.8, fraction=0.04, pad=0.02, ticks=marks, format=_tick)
    bar.ax.tick_params(colors=QUIET, labelsize=9)
    bar.set_label("share of the true class (square-root scale)", color=QUIET)
    bar.outline.set_visible(False)
    by_number = "" if count <= NAMES_SHOWN else " (number)"
    axes.set_xlabel(f"predicted class{by_number}", color=QUIET)
    axes.set_ylabel(f"true class{by_number}", color=QUIET)
    note, family = _worst_confusions(scores, int(side * CHARACTERS))
    _title(axes, f"Confusion: {scores.correct:,} of {scores.count:,} right", note, family)
    return figure


def curves_chart(rows: Sequence[Mapping[str, str | float]]) -> Figure:
    """Return loss, accuracy, learning rate and time by epoch (rows of `metrics.csv`), the best marked."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = new_figure(10.4, 6.8)
    loss, accuracy, rate, seconds = figure.subplots(2, 2).flat
    epochs = _column(rows, "epoch")
    for split in SPLITS:
        _curve(loss, epochs, _column(rows, f"{split}_loss"), split)
        _curve(accuracy, epochs, _column(rows, f"{split}_accuracy"), split)
    low, high = _column(rows, "test_accuracy_low"), _column(rows, "test_accuracy_high")
    accuracy.fill_between(epochs, low, high, color=BLUE, alpha=0.13, linewidth=0)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))  # with the digits that its range needs
    rates = _column(rows, "lr")
    rate.step(epochs, rates, where="mid", color=INK, marker="o", markersize=3.5)
    known = rates[rates > 0]
    if len(known) and known.max() > 30 * known.min():  # more than one and a half powers of ten
        rate.set_yscale("log")
    elif len(known):
        rate.set_ylim(0, 1.15 * known.max())
    seconds.bar(epochs, _column(rows, "seconds"), color=QUIET, width=0.7 if len(epochs) > 3 else 0.3)
    best = [epoch for epoch, flag in zip(epochs, _column(rows, "best"), strict=True) if flag == 1][-1:]
    marked = "".join(f"; dotted line: best, epoch {epoch:g}" for epoch in best)
    _title(loss, "Loss", f"mean cross entropy per image{marked}")
    _title(accuracy, "Accuracy", "band: 95 % interval of the test" if not np.isnan(low).all() else "share right")
    _title(rate, "Learning rate", "at the end of the epoch")
    _title(seconds, "Seconds per epoch", "of the training steps")
    for axes in (loss, accuracy, rate, seconds):
        _plain(axes)
        axes.set_xlim(0.5, max(epochs.max(initial=1), 1) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))  # whole epochs
        axes.set_xlabel("epoch", color=QUIET)
        axes.grid(axis="y", color=LINE, linewidth=0.7)
        for epoch in best:
            axes.axvline(epoch, color=INK, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
    handles, labels = loss.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, labelcolor=INK)
    return figure


def save_chart(figure: Figure, path: Path) -> None:
    """Write a chart as PNG or SVG, by the ending of `path`, whole or not at all; equal charts, equal bytes.

    Raises `FileError` where the disk refuses it.
    """
    from matplotlib import rc_context

    kind = path.suffix.lstrip(".")
    with atomic_path(path) as temporary, rc_context({"svg.hashsalt": "eyas"}):
        figure.savefig(temporary, format=kind, metadata={"Date": None} if kind == "svg" else None)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches, known to nobody else: pyplot would keep it in a global list."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.13, h_pad=0.13)
    return Figure(figsize=(width, height), dpi=110, layout=layout, facecolor="white")


def _worst_confusions(scores: Scores, room: int) -> tuple[str, list[str]]:
    """Return up to three of the most frequent confusions in `room` characters, and the fonts for them."""
    mistakes = scores.confusion.copy()
    np.fill_diagonal(mistakes, 0)
    places = np.argsort(-mistakes, axis=None, kind="stable")[:3]
    pairs = [divmod(int(place), len(mistakes)) for place in places if mistakes.flat[place]]
    names, family = lettered(scores.classes, longest=20)
    words = [f"{names[true]} → {names[called]} ({mistakes[true, called]:,})" for true, called in pairs]
    while len(words) > 1 and len(", ".join(words)) + len("most often wrong: ") > room:
        words.pop()
    return (f"most often wrong: {', '.join(words)}" if words else "no mistakes"), family


def _curve(axes: Axes, epochs: np.ndarray, values: np.ndarray, split: str) -> None:
    if not np.isnan(values).all():
        colour, marker, line = SPLITS[split]
        markers: dict[str, Any] = {"marker": marker, "markersize": 4, "markevery": max(1, len(epochs) // 20)}
        axes.plot(epochs, values, color=colour, linestyle=line, linewidth=1.8, label=split, **markers)


def _column(rows: Sequence[Mapping[str, str | float]], name: str) -> np.ndarray:
    """Return a column as float64, nan where it is empty."""
    cells = [row.get(name, "") for row in rows]
    return np.array([np.nan if cell in ("", None) else float(cell) for cell in cells])


def _plain(axes: Axes) -> None:
    axes.set_axisbelow(True)
    axes.tick_params(colors=QUIET, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)


def _title(axes: Axes, title: str, note: str, family: list[str] | None = None) -> None:
    axes.set_title(title, loc="left", fontsize=12.5, fontweight="bold", color=INK, pad=22)
    place: dict[str, Any] = {"xytext": (0, 7), "textcoords": "offset points", "fontsize": 9, "color": QUIET}
    text = axes.annotate(note, (0, 1), xycoords="axes fraction", fontfamily=family, parse_math=False, **place)
    text.set_in_layout(False)  # a long note may not squeeze the chart


def _tick(value: float, _position: float | None = None) -> str:
    return f"{100 * value:g} %"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
