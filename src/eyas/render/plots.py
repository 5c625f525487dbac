"""Small vector charts for a page: they take their colours from its style, and say each point as a text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from eyas.evaluation.confidence import BINS, Reliability

WIDTH, HEIGHT = 400, 240  # of a chart, in units of which a small screen shows about one a pixel
LEFT, RIGHT, TOP, BOTTOM = 46, 18, 12, 28  # room for the axes
SQUARES, DIAMONDS = {"val", "run1", "run4", "run7"}, {"test", "run2", "run5"}  # marks of curves; others have dots
MARKED = 30  # points up to which each has a mark

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


def said_share(value: float, digits: int = 3) -> str:
    """Return a share in percent: `91.3 %`."""
    return f"{said_number(100 * value, digits)} %"


def said_number(value: float, digits: int = 3) -> str:
    """Return a number in at least so many digits: 0.001, 1e-4, 1250, 1.5e9."""
    if value and not 1e-3 <= abs(value) < 1e6:
        number, _, power = f"{value:.{digits - 1}e}".partition("e")
        return f"{float(number):.{digits}g}e{int(power)}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if places else text


def tick_labels(ticks: Sequence[float], said: Said) -> list[str]:
    """Return what ticks say, in as many digits as it takes to tell them apart and to say where they stand."""
    exact = [_number(said(tick, EXACT)) for tick in ticks]
    gap = min((abs(one - other) for one, other in itertools.pairwise(exact)), default=math.inf)
    for digits in range(3, EXACT):
        labels = [said(tick, digits) for tick in ticks]
        if all(abs(_number(label) - value) <= 0.01 * gap for label, value in zip(labels, exact, strict=True)):
            return labels
    return [said(tick, EXACT) for tick in ticks]


def _number(label: str) -> float:
    return float(label.removesuffix(" %"))


def curves_plot(
    epochs: Sequence[float],
    curves: Sequence[Curve],
    *,
    said: Said = said_number,
    band: tuple[Sequence[float], Sequence[float]] | None = None,
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
    ticks = _log_ticks(min(known), max(known)) if log else _ticks(min(known), max(known), whole)
    span = (min(*ticks, *known), max(*ticks, *known))
    frame = Frame((min(epochs) - 0.3, max(epochs) + 0.3), span, log)
    marks = [tick for tick in _ticks(min(epochs), max(epochs), None) if tick == int(tick)] or [epochs[0]]
    marks = [mark for mark in marks if min(epochs) <= mark <= max(epochs)]
    return _svg([
        *_axes(frame, marks, ticks, said_number, said),
        *(_band(frame, epochs, band) if band else ()),
        *((f'<line class=best x1="{frame.across(best):.1f}" x2="{frame.across(best):.1f}" y1="{TOP}" '
           f'y2="{HEIGHT - BOTTOM}"/>',) if best is not None else ()),
        *(part for curve in curves for part in _curve(frame, epochs, curve, said)),
    ])  # fmt: skip


def bars_plot(epochs: Sequence[float], values: Sequence[float], *, said: Said = said_number) -> str:
    """Return a bar per epoch as SVG, from zero."""
    known = [value for value in values if value == value]
    if not known or max(known) <= 0:
        return ""
    ticks = _ticks(0.0, max(known), None)
    frame = Frame((min(epochs) - 0.6, max(epochs) + 0.6), (0.0, max(*ticks, *known)))
    marks = [tick for tick in _ticks(min(epochs), max(epochs), None) if tick == int(tick)] or [epochs[0]]
    marks = [mark for mark in marks if min(epochs) <= mark <= max(epochs)]
    width = min(0.75 * (frame.across(1) - frame.across(0)), 40)
    bars = (
        _bar(frame, epoch, value, width, f"{epoch:g}: {said(value, DIGITS)}")
        for epoch, value in zip(epochs, values, strict=True)
    )
    return _svg([*_axes(frame, marks, ticks, said_number, said), *bars])


def reliability_plot(found: Reliability) -> str:
    """Return how right a model is by how sure it is, as SVG: bars of accuracy, a line where both are equal.

    A bar is as strong as it has samples; a dot marks how sure the model is there on average.
    """
    frame = Frame((0.0, 1.0), (0.0, 1.0))
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
    width = (frame.across(1 / BINS) - frame.across(0)) - 2
    most = found.counts.max()
    parts = [*_axes(frame, ticks, ticks, said_share, said_share)]
    for place, (count, sure, right) in enumerate(zip(found.counts, found.confidence, found.accuracy, strict=True)):
        if count:
            said = f"{said_share(sure, 4)}: {said_share(right, 4)} ({count:,})"
            strength = 0.25 + 0.75 * math.sqrt(count / most)
            parts.append(_bar(frame, (place + 0.5) / BINS, right, width, said, strength))
            x, y = frame.across(sure), frame.down(right)
            parts.append(f'<circle class=dot cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
    parts.append(
        f'<line class=ideal x1="{frame.across(0):.1f}" y1="{frame.down(0):.1f}" '
        f'x2="{frame.across(1):.1f}" y2="{frame.down(1):.1f}"/>'
    )
    return _svg(parts)


def _svg(parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'


def _axes(frame: Frame, xs: Sequence[float], ys: Sequence[float], said_x: Said, said_y: Said) -> Iterator[str]:
    for value, label in zip(ys, tick_labels(ys, said_y), strict=True):
        y = frame.down(value)
        yield f'<line class=grid x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class=tick x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>'
    for value, label in zip(xs, tick_labels(xs, said_x), strict=True):
        yield (
            f'<text class=tick x="{frame.across(value):.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">'
            f"{escape(label)}</text>"
        )


def _band(frame: Frame, epochs: Sequence[float], band: tuple[Sequence[float], Sequence[float]]) -> Iterator[str]:
    low, high = band
    known = [place for place in range(len(epochs)) if low[place] == low[place] and high[place] == high[place]]
    if len(known) > 1:
        way = [(epochs[place], high[place]) for place in known] + [(epochs[place], low[place]) for place in known[::-1]]
        yield f'<polygon class=band points="{_points(frame, way)}"/>'
    else:  # one epoch has no width
        for place in known:
            x = frame.across(epochs[place])
            top, bottom = frame.down(high[place]), frame.down(low[place])
            yield f'<line class="band whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'


def _curve(frame: Frame, epochs: Sequence[float], curve: Curve, said: Said) -> Iterator[str]:
    known = [(epoch, value) for epoch, value in zip(epochs, curve.values, strict=True) if value == value]
    if not known:
        return
    yield f'<polyline class="curve {curve.kind}" points="{_points(frame, known)}"/>'
    each = max(1, math.ceil(len(known) / MARKED))
    for epoch, value in known[::each]:
        words = f"{curve.name} {epoch:g}: {said(value, DIGITS)}"
        yield _mark(curve.kind, frame.across(epoch), frame.down(value), words)


def _mark(kind: str, x: float, y: float, said: str) -> str:
    """Return a mark whose shape says which curve it is of, with its value as a text that shows on a pointer's rest."""
    title = f"<title>{escape(said)}</title>"
    if kind in SQUARES:
        return f'<rect class="mark {kind}" x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6">{title}</rect>'
    if kind in DIAMONDS:
        return f'<path class="mark {kind}" d="M{x:.1f} {y - 4:.1f}l4 4l-4 4l-4 -4z">{title}</path>'
    return f'<circle class="mark {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3">{title}</circle>'


def legend_mark(kind: str, name: str) -> str:
    """Return a short piece of a curve with its mark, for a legend; `name` shows on a pointer's rest."""
    return (
        f'<svg class=key viewBox="0 0 30 12" aria-hidden="true"><polyline class="curve {kind}" points="0,6 30,6"/>'
        f"{_mark(kind, 15, 6, name)}</svg>"
    )


def _bar(frame: Frame, x: float, value: float, width: float, said: str, strength: float = 1.0) -> str:
    if value != value:
        return ""
    top, bottom = frame.down(value), frame.down(frame.y[0])
    return (
        f'<rect class=bar x="{frame.across(x) - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{max(bottom - top, 0.5):.1f}" opacity="{strength:.2f}"><title>{escape(said)}</title></rect>'
    )


def _points(frame: Frame, way: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{frame.across(x):.1f},{frame.down(y):.1f}" for x, y in way)


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


def _log_ticks(low: float, high: float) -> list[float]:
    """Return the powers of ten around low to high, at most about six."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    return [10.0**power for power in range(first, last + 1, max(1, (last - first) // 5))]
