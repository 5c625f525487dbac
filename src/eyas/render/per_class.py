"""The part of a report on classes: precision, recall and F1 of each, and what is taken for what."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import numpy as np

from eyas.evaluation.scores import Scores, wilson
from eyas.render.html import text, whole
from eyas.render.words import Words

SHOWN = 25  # of more classes the lowest F1; the others are folded away
COUNTED = 25  # classes up to which a confusion matrix is a table of its counts
CELLS = 20_000  # of a larger one, at most: the page stays small
PAIRS = 12  # most frequent confusions in words
FULL = 0.45  # a cell with this share of its class is so strong that its count is written in the page's colour


def classes(scores: Scores, words: Words) -> Iterator[str]:
    """Yield the classes, lowest F1 first, with intervals; classes that are not in the set come last."""
    order = np.argsort(np.nan_to_num(scores.f1, nan=2.0), kind="stable").tolist()
    shown = order if len(order) <= SHOWN + 5 else order[:SHOWN]
    yield f"<section><h2>{words['classes']}</h2><p class=note>{words['classes note']}</p>"
    yield from _class_table(scores, shown, words)
    if rest := order[len(shown) :]:
        yield f"<details><summary>{words['more classes'].format(count=f'{len(rest):,}')}</summary>"
        yield from _class_table(scores, rest, words)
        yield "</details>"
    yield "</section>"


def _class_table(scores: Scores, numbers: list[int], words: Words) -> Iterator[str]:
    scale = "<p><span>0</span><span>50 %</span><span>100 %</span></p>"
    yield f"<table class=classes><tr><th>{words['class']}</th><th class=strip>{scale}</th><th>F1</th>"
    yield f"<th class=number>{words['precision']}</th><th class=number>{words['recall']}</th>"
    yield f"<th class=number>{words['images']}</th></tr>"
    called, right = scores.confusion.sum(axis=0), np.diag(scores.confusion)
    for number in numbers:
        precision, recall, f1 = (measure[number] for measure in (scores.precision, scores.recall, scores.f1))
        marks = _whisker("p", right[number], called[number]) + _whisker("r", right[number], scores.support[number])
        marks += _mark("p", "▷", precision) + _mark("r", "□", recall) + _mark("f", "●", f1)
        values = (_percent(f1) if f1 == f1 else words["absent"], _percent(precision), _percent(recall))
        yield (
            f"<tr><td>{text(scores.classes[number])}</td><td class=strip><div aria-hidden=true>{marks}</div></td>"
            f"<td>{values[0]}</td><td class=number>{values[1]}</td><td class=number>{values[2]}</td>"
            f"<td class=number>{scores.support[number]:,}</td></tr>"
        )
    yield "</table>"


def _whisker(kind: str, part: int, count: int) -> str:
    if not count:
        return ""
    low, high = wilson(int(part), int(count))
    return f'<i class="w {kind}" style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'


def _mark(kind: str, sign: str, value: float) -> str:
    return f'<i class={kind} style="left:{100 * value:.1f}%">{sign}</i>' if value == value else ""


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if value == value else "–"


def confusion(scores: Scores, words: Words) -> Iterator[str]:
    """Yield the confusion matrix, as a table of counts where there is room, and the most frequent mistakes."""
    yield f"<section><h2>{words['confusion']}</h2>"
    if len(scores.classes) <= COUNTED:
        yield f"<p class=note>{words['confusion note']}</p>"
        yield from _counts(scores)
    else:
        yield f"<p class=note>{words['matrix note']}"
        cells = int((scores.confusion > 0).sum())
        yield f" {words['matrix part'].format(count=f'{CELLS:,}')}</p>" if cells > CELLS else "</p>"
        yield _matrix(scores, words)
    yield from _pairs(scores, words)
    yield "</section>"


def _counts(scores: Scores) -> Iterator[str]:
    names = [text(name) for name in scores.classes]
    tops = "".join(f"<th scope=col><span>{name}</span></th>" for name in names)
    yield f"<div class=wide><table class=confusion><tr class=top><th></th>{tops}</tr>"
    for row, name in enumerate(names):
        share = scores.confusion[row] / max(int(scores.support[row]), 1)
        cells = (
            _cell(int(count), part, row == column)
            for column, (count, part) in enumerate(zip(scores.confusion[row], share, strict=True))
        )
        yield f"<tr><th scope=row class=left>{name}</th>{''.join(cells)}</tr>"
    yield "</table></div>"


def _cell(count: int, share: float, right: bool) -> str:
    kinds = " ".join(kind for kind, holds in (("right", right), ("full", share > FULL)) if holds)
    mark = f' class="{kinds}"' if kinds else ""
    if not count:
        return f"<td{mark}></td>"
    strength = f"{100 * float(np.sqrt(share)):.0f}%"
    colour = "--bar" if right else "--val"
    return f'<td{mark} style="background:color-mix(in srgb,var({colour}) {strength},var(--soft))">{count:,}</td>'


def _matrix(scores: Scores, words: Words) -> str:
    """Return the cells that are not empty as an SVG, each with its classes as a text that shows on a pointer's rest."""
    size = len(scores.classes)
    shares = np.sqrt(scores.confusion / np.maximum(scores.support, 1)[:, None])
    rows, columns = np.nonzero(scores.confusion)
    strongest = np.argsort(-shares[rows, columns], kind="stable")[:CELLS]
    parts = []
    for row, column in zip(rows[strongest].tolist(), columns[strongest].tolist(), strict=True):
        said = f"{scores.classes[row]} → {scores.classes[column]}: {scores.confusion[row, column]:,}"
        mark = " class=right" if row == column else ""
        parts.append(
            f'<rect{mark} x="{column}" y="{row}" width="1" height="1" opacity="{max(shares[row, column], 0.15):.2f}">'
            f"<title>{escape(whole(said))}</title></rect>"
        )
    box = f'viewBox="0 0 {size} {size}" role="img" aria-label="{words["confusion"]}"'
    return f"<svg class=matrix {box}>{''.join(parts)}</svg>"


def _pairs(scores: Scores, words: Words) -> Iterator[str]:
    mistakes = scores.confusion.copy()
    np.fill_diagonal(mistakes, 0)
    if not mistakes.any():
        yield f"<p>{words['no mistakes']}</p>"
        return
    places = [place for place in np.argsort(-mistakes, axis=None, kind="stable")[:PAIRS] if mistakes.flat[place]]
    heads = f"<th>{words['true']}</th><th class=left>{words['called']}</th>"
    heads += f"<th>{words['images']}</th><th>{words['share']}</th>"
    yield f"<h3>{words['pairs']}</h3><div class=wide><table><tr>{heads}</tr>"
    for place in places:
        true, called = divmod(int(place), len(mistakes))
        count = int(mistakes[true, called])
        yield (
            f"<tr><td>{text(scores.classes[true])}</td><td class=left>{text(scores.classes[called])}</td>"
            f"<td>{count:,}</td><td>{100 * count / int(scores.support[true]):.1f} %</td></tr>"
        )
    yield "</table></div>"
