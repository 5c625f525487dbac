"""Cards: what a prediction, a classifier and a run show of themselves in a notebook. Plain HTML, all text escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence

from eyas.terminal.clean import clean, clean_html

BLUE = "#0072B2"  # as in the charts
BARS = 5  # of a prediction; the rest is summed up
NAMES = 30  # classes that are named
LARGEST = 1 << 19  # bytes of a chart that is shown with a run


def prediction_card(probabilities: Sequence[tuple[str, float]]) -> str:
    """Return the likeliest classes as bars, for (class, probability) with the largest first."""
    shown, rest = probabilities[:BARS], probabilities[BARS:]
    rows = [_bar(name, share) for name, share in shown]
    if rest:
        rows.append(_bar(f"{len(rest)} other classes", sum(share for _, share in rest), quiet=True))
    return _card(f'<table style="border-collapse:collapse">{"".join(rows)}</table>')


def classifier_card(model: str, classes: Sequence[str], about: Iterable[tuple[str, str]]) -> str:
    """Return a classifier's facts: its network, classes, and what is `about` it."""
    more = f" and {len(classes) - NAMES:,} more" if len(classes) > NAMES else ""
    named = ", ".join(clean(name) for name in classes[:NAMES]) + more
    facts = [("network", model), (f"{len(classes):,} classes", named), *about]
    return _card(_pairs(facts))


def run_card(facts: Iterable[tuple[str, str]], curves: bytes) -> str:
    """Return a run's facts and its curves, an SVG, where there are any and they are small."""
    card = _pairs(facts)
    if 0 < len(curves) <= LARGEST:
        text = base64.b64encode(curves).decode()
        card += f'<img alt="Curves of the run" style="max-width:100%" src="data:image/svg+xml;base64,{text}">'
    return _card(card)


def _bar(name: str, share: float, *, quiet: bool = False) -> str:
    style = "opacity:.65;" if quiet else ""
    bar = f'<div style="background:{BLUE};height:.8em;width:{10 * share:.2f}em;min-width:1px"></div>'
    cell = "padding:1px 8px;border:0;text-align:left;background:none"
    return (
        f'<tr style="{style}background:none"><td style="{cell}">{clean_html(name)}</td>'
        f'<td style="{cell};text-align:right">{100 * share:.1f} %</td><td style="{cell}">{bar}</td></tr>'
    )


def _pairs(rows: Iterable[tuple[str, str]]) -> str:
    cell = "padding:1px 12px 1px 0;border:0;text-align:left;vertical-align:top;background:none"
    lines = (
        f'<tr style="background:none"><td style="{cell};opacity:.65;white-space:nowrap">{clean_html(what)}</td>'
        f'<td style="{cell}">{clean_html(value)}</td></tr>'
        for what, value in rows
    )
    return f'<table style="border-collapse:collapse">{"".join(lines)}</table>'


def _card(content: str) -> str:
    return f'<div style="font-size:95%">{content}</div>'
