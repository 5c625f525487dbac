"""The top of a report: the accuracy with its interval, what it was measured on, and the course of the training."""

from __future__ import annotations

from collections.abc import Iterator

from eyas.evaluation.measures import ONCE, measured, numbers_of
from eyas.evaluation.scores import Scores
from eyas.render.html import marked, text
from eyas.render.material import Material
from eyas.render.plots import Curve, bars_plot, curves_plot, legend_mark, said_number, said_share
from eyas.render.words import Words

SPLITS = ("train", "val", "test")


def headline(material: Material, words: Words) -> Iterator[str]:
    """Yield the name, the accuracy with its interval, and what else is said in a number."""
    yield f"<header><h1>{text(material.name)}</h1>"
    if material.split is None:
        yield f"<p class=warn>{marked(words['nothing measured'])}</p>"
    else:
        yield from _accuracy(material, material.scores[material.split], words)
    yield "<div class=cards>"
    for name, value in _cards(material, words):
        yield f"<div><span>{name}</span><b>{text(value)}</b></div>"
    yield "</div></header>"


def _accuracy(material: Material, scores: Scores, words: Words) -> Iterator[str]:
    split = words[str(material.split)]
    low, high = (100 * end for end in scores.interval)
    said = words["of images"].format(count=f"{scores.count:,}", split=split, low=f"{low:.2f}", high=f"{high:.2f}")
    guess = 100 * scores.guess.share
    yield f"<p class=accuracy>{100 * scores.accuracy:.2f} % <small>{words['accuracy']}</small></p><p>{said}</p>"
    span = f'<i class=span style="left:{low:.2f}%;width:{high - low:.2f}%"></i>'
    marks = f'<i class=at style="left:{100 * scores.accuracy:.2f}%"></i><i class=guess style="left:{guess:.2f}%"></i>'
    yield f'<div class=scale role="img" aria-label="{said}">{span}{marks}</div>'
    gives = _guess(scores, words)
    yield f"<p class=note>{words['guess'].format(gives=gives)}</p>"
    if not scores.beats_guessing:
        few = words["few"].format(count=f"{scores.count:,}") if 100 * scores.accuracy > guess else ""
        ends = {"accuracy": f"{100 * scores.accuracy:.2f} %", "low": f"{low:.2f}", "high": f"{high:.2f}"}
        told = words["one class" if scores.guess.share == 1 else "no better"]
        yield f"<p class=warn>{told.format(**ends, gives=gives, few=few)}</p>"
    selects = material.facts.get("selects_on")
    if selects == material.split:
        yield f"<p class=warn>{marked(words[f'selected {selects}'].format(epochs=len(material.rows)))}</p>"
    elif selects:
        yield f"<p class=note>{words['not selected'].format(split=words[selects], this=split)}</p>"
    leaks = sum(material.audit.totals.get(kind, 0) for kind in ("leak", "near-leak")) if material.audit else 0
    if leaks:
        yield f"<p class=warn>{marked(words['leaks'].format(count=f'{leaks:,}'))}</p>"
    if scores.skipped:
        yield f"<p class=warn>{words['skipped'].format(count=f'{scores.skipped:,}')}</p>"


def _guess(scores: Scores, words: Words) -> str:
    """Return what guessing gives, and how, as HTML."""
    guess, share = scores.guess, f"{100 * scores.guess.share:.3g} %"
    if guess.always is None:
        return words["by chance"].format(share=share)
    return words["always"].format(name=f"<b>{text(guess.always)}</b>", share=share)


def _cards(material: Material, words: Words) -> Iterator[tuple[str, str]]:
    yield words["model"], material.model
    if material.split is not None:
        scores = material.scores[material.split]
        numbers = numbers_of(scores, ONCE)
        for one in measured(numbers, ONCE)[1:]:  # the accuracy stands above
            yield one.heading(words["language"]), one.said(numbers)
    best = words["of"].format(part=material.facts["epoch"], whole=len(material.rows))
    yield words["best epoch"], best
    yield words["time"], _duration(sum(_column(material, "seconds", zero=True)), words)
    trained = material.facts["train"]
    yield words["train images"], f"{trained['count']:,}"


def splits(material: Material, words: Words) -> Iterator[str]:
    """Yield a row for every set that was measured, where there are several."""
    if len(material.scores) < 2:
        return
    rest = measured({name: None for scores in material.scores.values() for name in numbers_of(scores, ONCE)}, ONCE)[1:]
    heads = [words[head] for head in ("set", "images", "right", "accuracy", "interval")]
    heads += [one.heading(words["language"]) for one in rest]
    yield f"<section><h2>{words['splits']}</h2><div class=wide><table><tr>"
    yield f"{''.join(f'<th>{head}</th>' for head in heads)}</tr>"
    for split, scores in material.scores.items():
        low, high = (100 * end for end in scores.interval)
        cells = (
            *(f"{scores.count:,}", f"{scores.correct:,}", f"{100 * scores.accuracy:.2f} %"),
            *(f"{low:.2f} – {high:.2f} %", *(one.said(numbers_of(scores, ONCE)) for one in rest)),
        )
        yield f"<tr><td>{words[split]}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    yield "</table></div></section>"


def course(material: Material, words: Words) -> Iterator[str]:
    """Yield the curves of the training: loss, accuracy, learning rate and time by epoch."""
    if not material.rows:
        return
    epochs = _column(material, "epoch")
    best = float(material.facts["epoch"])
    losses = [Curve(split, _column(material, f"{split}_loss"), words[split]) for split in SPLITS]
    rights = [Curve(split, _column(material, f"{split}_accuracy"), words[split]) for split in SPLITS]
    band = _column(material, "test_accuracy_low"), _column(material, "test_accuracy_high")
    charts = (
        ("loss", curves_plot(epochs, losses, best=best)),
        ("accuracy", curves_plot(epochs, rights, best=best, band=band, said=said_share, whole=(0.0, 1.0))),
        ("lr", curves_plot(epochs, [Curve("plain", _column(material, "lr"), words["lr"])], best=best)),
        ("seconds", bars_plot(epochs, _column(material, "seconds"), said=said_number)),
    )
    yield f"<section><h2>{words['curves']}</h2>"
    note = words["curves note"].format(epoch=material.facts["epoch"])
    note += f" {words['band note']}" if any(low == low for low in band[0]) else ""
    yield f"<p class=note>{note}</p><p class=legend>"
    for curve in losses:
        if any(value == value for value in curve.values):
            yield f"<span>{legend_mark(curve.kind, curve.name)}{curve.name}</span>"
    yield "</p><div class=charts>"
    for name, chart in charts:
        if chart:
            yield f"<div class=chart><h3>{words[name]}</h3><p class=note>{words[f'{name} note']}</p>{chart}</div>"
    yield "</div></section>"


def _column(material: Material, name: str, *, zero: bool = False) -> list[float]:
    """Return a column of the table of epochs; an empty cell is nan, or 0 where it is to be summed."""
    empty = 0.0 if zero else float("nan")
    return [float(row[name]) if row.get(name) else empty for row in material.rows]


def _duration(seconds: float, words: Words) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return words["hours"].format(hours=hours, minutes=minutes)
    if minutes:
        return words["minutes"].format(minutes=minutes, seconds=rest)
    return words["seconds short"].format(seconds=f"{seconds:.1f}")
