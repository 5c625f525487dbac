"""Small SVG charts for pages, coloured by the page's style, with every point as text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eyas.evaluation.confidence import BINS, Reliability
from eyas.render.html import rendered

WIDTH, HEIGHT = 400, 240  # of a chart, in units of which a small screen shows about one a pixel
LEFT, RIGHT, TOP, BOTTOM = 46, 18, 12, 28  # room for the axes

Said = Callable[[float, int], str]  # a number in so many digits
TINY = 1e-300  # what is smaller is nothing
DIGITS, EXACT = 5, 17  # of the value that a point says; of any float


@dataclass(frozen=True, slots=True)
class Curve:
    """Values over epochs. `kind` names its colour, dash and mark: train, val, test, plain, or run0 to run7."""

    kind: str
    values: Sequence[float]  # nan where there is none
    name: str  # what its points say


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a chart, in its units, and what it says; `strength` is its opacity."""

    x: float  # its middle
    top: float
    width: float
    said: str
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Frame:
    """The area of a chart and what its ends mean."""

    x: tuple[float, float]
    y: tuple[float, float]
    log: bool = False

    def across(self, value: float) -> float:
        """Return where a value lies from the left."""
        low, high = self.x
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def down(self, value: float) -> float:
        """Return where a value lies from the top."""
        low, high, at = (math.log10(v) for v in (*self.y, value)) if self.log else (*self.y, value)
        return TOP + (high - at) / (high - low) * (HEIGHT - TOP - BOTTOM)


def share_text(value: float, digits: int = 3) -> str:
    """Return a share in percent: `91.3 %`."""
    return f"{number_text(100 * value, digits)} %"


def number_text(value: float, digits: int = 3) -> str:
    """Return a number in at least so many digits: 0.001, 1e-4, 1250, 1.5e9."""
    if value and not 1e-3 <= abs(value) < 1e6:
        number, _, power = f"{value:.{digits - 1}e}".partition("e")
        return f"{float(number):.{digits}g}e{int(power)}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if places else text


def tick_labels(ticks: Sequence[float], said: Said) -> list[str]:
    """Return what ticks say, in as many digits as it takes to tell them apart and to say where they stand."""

    def number(label: str) -> float:
        return float(label.removesuffix(" %"))

    exact = [number(said(tick, EXACT)) for tick in ticks]
    gap = min((abs(one - other) for one, other in itertools.pairwise(exact)), default=math.inf)
    for digits in range(3, EXACT):
        labels = [said(tick, digits) for tick in ticks]
        if all(abs(number(label) - value) <= 0.01 * gap for label, value in zip(labels, exact, strict=True)):
            return labels
    return [said(tick, EXACT) for tick in ticks]


def column(rows: Iterable[Mapping[str, str]], name: str, epochs: Sequence[float]) -> list[float]:
    """Return a column of `metrics.csv` by epoch, nan where there is no value."""
    found = {float(row["epoch"]): float(row[name]) for row in rows if row.get(name)}
    return [found.get(epoch, math.nan) for epoch in epochs]


def curves_plot(
    epochs: Sequence[float],
    curves: Sequence[Curve],
    *,
    said: Said = number_text,
    band: Sequence[Sequence[float]] | None = None,
    best: float | None = None,
    beside: Sequence[Curve] = (),
    whole: tuple[float, float] | None = None,
) -> str:
    """Return curves over epochs as SVG: `band` is an interval, `best` an epoch to mark, `whole` the limits of y.

    `beside` are curves of another chart of the same measure: both get the same kind of scale.
    """
    known = [value for curve in curves for value in curve.values if value == value]
    known += [value for side in band or () for value in side if value == value]
    if not known:
        return ""
    every = known + [value for curve in beside for value in curve.values if value == value]
    log = min(every) > TINY and max(every) > 30 * min(every) and whole is None
    if log:  # the powers of ten around the values, at most about six
        first, last = math.floor(math.log10(min(known)) + 1e-9), math.ceil(math.log10(max(known)) - 1e-9)
        last = max(last, first + 1)
        ticks = [10.0**power for power in range(first, last + 1, max(1, (last - first) // 5))]
    else:
        ticks = _ticks(min(known), max(known), whole)
    span = (min(*ticks, *known), max(*ticks, *known))
    frame = Frame((min(epochs) - 0.3, max(epochs) + 0.3), span, log)
    points = (
        [
            (frame.across(epoch), frame.down(value), f"{curve.name} {epoch:g}: {said(value, DIGITS)}")
            for epoch, value in zip(epochs, curve.values, strict=True)
            if value == value
        ]
        for curve in curves
    )
    ends = zip(epochs, *band, strict=True) if band else ()
    between = [(x, low, high) for x, low, high in ends if low == low and high == high]
    return _plot(frame, _epoch_ticks(epochs), ticks, said, {
        "curves": [(curve.kind, places) for curve, places in zip(curves, points, strict=True)],
        "band": [(frame.across(x), frame.down(low), frame.down(high)) for x, low, high in between],
        "best": None if best is None else frame.across(best),
    })  # fmt: skip


def bars_plot(epochs: Sequence[float], values: Sequence[float], *, said: Said = number_text) -> str:
    """Return a bar per epoch as SVG, from zero."""
    known = [value for value in values if value == value]
    if not known or max(known) <= 0:
        return ""
    ticks = _ticks(0.0, max(known), None)
    frame = Frame((min(epochs) - 0.6, max(epochs) + 0.6), (0.0, max(*ticks, *known)))
    width = min(0.75 * (frame.across(1) - frame.across(0)), 40)
    bars = [
        Bar(frame.across(epoch), frame.down(value), width, f"{epoch:g}: {said(value, DIGITS)}")
        for epoch, value in zip(epochs, values, strict=True)
        if value == value
    ]
    return _plot(frame, _epoch_ticks(epochs), ticks, said, {"bars": bars})


def reliability_plot(found: Reliability) -> str:
    """Return how right a model is by how sure it is, as SVG: bars of accuracy, a line where both are equal.

    A bar is as strong as it has samples; a dot marks how sure the model is there on average.
    """
    frame = Frame((0.0, 1.0), (0.0, 1.0))
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
    width = (frame.across(1 / BINS) - frame.across(0)) - 2
    bars, dots = [], []
    for place, (count, sure, right) in enumerate(zip(found.counts, found.confidence, found.accuracy, strict=True)):
        if count:
            said = f"{share_text(sure, 4)}: {share_text(right, 4)} ({count:,})"
            strength = 0.25 + 0.75 * math.sqrt(count / found.counts.max())
            bars.append(Bar(frame.across((place + 0.5) / BINS), frame.down(right), width, said, strength))
            dots.append((frame.across(sure), frame.down(right)))
    return _plot(frame, ticks, ticks, share_text, {"bars": bars, "dots": dots}, x_text=share_text)


def _plot(
    frame: Frame,
    xs: Sequence[float],
    ys: Sequence[float],
    said: Said,
    drawn: Mapping[str, Any],
    x_text: Said = number_text,
) -> str:
    """Return a chart with ticks at `xs` and `ys` as SVG."""
    nothing: dict[str, Any] = {"curves": (), "band": (), "best": None, "bars": (), "dots": ()}
    return rendered("plot.svg", {
        **nothing,
        **drawn,
        "box": (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM),
        "size": (WIDTH, HEIGHT),
        "xs": zip(map(frame.across, xs), tick_labels(xs, x_text), strict=True),
        "ys": zip(map(frame.down, ys), tick_labels(ys, said), strict=True),
    })  # fmt: skip


def _epoch_ticks(epochs: Sequence[float]) -> list[float]:
    """Return the whole epochs that an axis names."""
    marks = [tick for tick in _ticks(min(epochs), max(epochs), None) if tick == int(tick)] or [epochs[0]]
    return [mark for mark in marks if min(epochs) <= mark <= max(epochs)]


def _ticks(low: float, high: float, whole: tuple[float, float] | None) -> list[float]:
    """Return up to six round numbers that span low to high, within `whole` where there are such limits."""
    size = max(abs(low), abs(high))
    if high - low <= max(1e-9 * size, TINY):  # one value, but for what floats leave
        low, high = (min(0.0, 1.2 * low), max(0.0, 1.2 * high)) if size > TINY else (-0.1, 0.1)
        low, high = (max(low, whole[0]), min(high, whole[1])) if whole else (low, high)
    step = 10.0 ** math.floor(math.log10((high - low) / 5))
    step *= next(factor for factor in (1, 2, 5, 10) if step * factor * 5 >= high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    found = [float(f"{place * step:.15g}") for place in range(first, last + 1)]
    return [tick for tick in found if whole is None or whole[0] <= tick <= whole[1]]
