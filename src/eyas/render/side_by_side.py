"""The page of a comparison: the curves of several runs over each other, their differences, their settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eyas.evaluation.measures import measured
from eyas.render.html import head, stylesheet, text
from eyas.render.plots import Curve, curves_plot, legend_mark, said_number, said_share
from eyas.render.words import LANGUAGES, Words

STYLES = 8  # curves that can be told apart

Rows = Sequence[dict[str, str]]  # of a metrics.csv


@dataclass(frozen=True, slots=True)
class Table:
    """Cells in words, under their heads."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class SideBySide:
    """What the page of a comparison shows."""

    names: tuple[str, ...]
    epochs: tuple[Rows, ...]  # of each run
    runs: Table
    verdicts: tuple[str, ...]  # HTML
    settings: Table


def side_by_side_page(shown: SideBySide, language: str) -> str:
    """Return the page of a comparison in a language of `LANGUAGES`."""
    words = LANGUAGES[language]
    title = words["comparison"].format(count=len(shown.names))
    return "\n".join(
        [
            head(title, stylesheet(), words["language"]),
            f"<header><h1>{text(title)}</h1></header>",
            *_table(shown.runs, words["splits"]),
            f"<section><h2>{words['differences']}</h2>",
            *(f"<p>{verdict}</p>" for verdict in shown.verdicts),
            "</section>",
            *_curves(shown, words),
            *(_table(shown.settings, words["settings"], "<code>{}</code>") if shown.settings.rows else _same(words)),
            "</body></html>\n",
        ]
    )


def _same(words: Words) -> Iterator[str]:
    yield f"<section><h2>{words['settings']}</h2><p>{words['same settings']}</p></section>"


def _table(table: Table, title: str, inside: str = "{}") -> Iterator[str]:
    """Yield a table; `inside` is what each cell stands in."""
    heads = "".join(f"<th class=left>{text(head)}</th>" for head in table.heads)
    yield f"<section><h2>{title}</h2><div class=wide><table><tr>{heads}</tr>"
    for row in table.rows:
        yield f"<tr>{''.join(f'<td class=left>{inside.format(text(cell))}</td>' for cell in row)}</tr>"
    yield "</table></div></section>"


def _curves(shown: SideBySide, words: Words) -> Iterator[str]:
    """Yield a chart for every measure that a run has, with the curves of the first runs over each other."""
    kinds = [f"run{number}" for number in range(min(len(shown.names), STYLES))]
    last = max((len(rows) for rows in shown.epochs), default=0)
    if not last:
        return
    yield f"<section><h2>{words['curves']}</h2><p class=legend>"
    for kind, name in zip(kinds, shown.names, strict=False):
        yield f"<span>{legend_mark(kind, name)}{text(name)}</span>"
    yield "</p><div class=charts>"
    epochs = [float(epoch) for epoch in range(1, last + 1)]
    columns = {name.partition("_")[2]: None for rows in shown.epochs for row in rows for name in row}
    measures = measured({"accuracy": None, "loss": None, **columns})
    charts = [(one.heading(words["language"]), one.name, one.is_share, ("test", "val")) for one in measures]
    for name, column, share, sets in (*charts, (words["lr"], "lr", False, ("",))):
        splits = (*sets, "train") if column == "loss" else sets
        drawn = {split: _over_each_other(shown, kinds, f"{split}_{column}".lstrip("_"), last) for split in splits}
        beside = [curve for curves in drawn.values() for curve in curves]
        said, whole = (said_share, (0.0, 1.0)) if share else (said_number, None)
        for split, curves in drawn.items():
            chart = curves_plot(epochs, curves, said=said, beside=beside, whole=whole)
            if chart:
                on = f" ({words[split]})" if split else ""
                yield f"<div class=chart><h3>{name}{on}</h3>{chart}</div>"
    yield "</div></section>"


def _over_each_other(shown: SideBySide, kinds: Sequence[str], column: str, length: int) -> list[Curve]:
    """Return a column of the first runs as curves."""
    runs = zip(kinds, shown.names, shown.epochs, strict=False)
    return [Curve(kind, _column(rows, column, length), name) for kind, name, rows in runs]


def _column(rows: Rows, name: str, length: int) -> list[float]:
    """Return a column by epoch, nan where there is no value."""
    values = [float("nan")] * length
    for row in rows:
        if row.get(name):
            values[int(row["epoch"]) - 1] = float(row[name])
    return values
