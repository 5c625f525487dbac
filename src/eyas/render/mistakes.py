"""The part of a report on single answers: how sure they are, the surest mistakes, the labels to doubt."""

from __future__ import annotations

from collections.abc import Iterator

from eyas.evaluation.confidence import BINS
from eyas.render.chinese import in_chinese
from eyas.render.html import marked, picture, text
from eyas.render.material import DOUBTS, Calibration, Material, Shot
from eyas.render.plots import reliability_plot
from eyas.render.words import Words


def calibration(material: Material, words: Words) -> Iterator[str]:
    """Yield how right the model is by how sure it is, and what a temperature would do."""
    yield f"<section><h2>{words['calibration']}</h2>"
    found = material.calibration
    if found is None:
        yield f"<p>{words['no logits']}</p></section>"
        return
    scores = material.scores[str(material.split)]
    said = words["calibration said"].format(
        sure=_percent(found.now.mean_confidence),
        right=_percent(scores.accuracy),
        error=_percent(found.now.error),
        bins=BINS,
        count=f"{scores.count:,}",
    )
    yield f"<p>{said}</p>"
    if found.temperature != 1.0:
        yield f"<p>{marked(words['temperature stored'].format(temperature=f'{found.temperature:.3f}'))}</p>"
    yield from _fitted(found, material, words)
    yield f"<div class=chart><h3>{words['reliability']}</h3><p class=note>{words['calibration note']}</p>"
    yield f"{reliability_plot(found.now)}</div>"
    yield from _thresholds(found, material, words)
    yield "</section>"


def _thresholds(found: Calibration, material: Material, words: Words) -> Iterator[str]:
    """Yield how many images are answered, and how many of those rightly, by the least probability that is answered."""
    note = words["thresholds note"].format(count=f"{found.thresholds[0].count:,}", split=words[str(material.split)])
    yield f"<h3>{words['thresholds']}</h3><p class=note>{marked(note)}</p>"
    if material.split == "test":
        yield f"<p class=note>{marked(words['thresholds test'])}</p>"
    heads = ("bound", "answered", "images", "accuracy of answered", "right", "interval")
    yield f"<div class=wide><table><tr>{''.join(f'<th>{words[head]}</th>' for head in heads)}</tr>"
    for row in found.thresholds:
        cells = [f"{row.bound:g}", _percent(row.share), f"{row.answered:,}", "–", "–", "–"]
        if row.answered:
            low, high = (100 * end for end in row.interval)
            cells[3:] = [_percent(row.correct / row.answered), f"{row.correct:,}", f"{low:.2f} – {high:.2f} %"]
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    yield "</table></div>"


def _fitted(found: Calibration, material: Material, words: Words) -> Iterator[str]:
    if found.fitted is None or found.then is None:
        return
    key = "temperature fit" if found.fitted_on == material.split else "temperature would"
    said = {"temperature": f"{found.fitted:.3f}", "error": _percent(found.then.error)}
    yield f"<p>{marked(words[key].format(**said, count=f'{found.fitted_count:,}'))}</p>"


def errors(material: Material, words: Words) -> Iterator[str]:
    """Yield the surest mistakes with their pictures and where the network saw its answer."""
    if material.errors is None:
        return
    yield f"<section><h2>{words['errors']}</h2>"
    for reason in material.missing:
        said = text(reason) if words["language"] == "en" else in_chinese(reason)
        yield f"<p class=note>{words['no pictures'].format(reason=said)}</p>"
    if material.errors.count == 0:
        yield f"<p>{words['no mistakes']}</p></section>"
        return
    shown = len(material.errors.shown)
    said = words["errors note"].format(shown=shown, count=f"{material.errors.count:,}")
    if material.errors.elsewhere:
        said += f" {words['errors elsewhere'].format(count=f'{material.errors.elsewhere:,}')}"
    said += f" {words['map note']}" if any(shot.heat is not None for shot in material.errors.shown) else ""
    yield f"<p class=note>{said}</p><div class=shots>"
    yield from (_shot(shot, words["is"], words["said"]) for shot in material.errors.shown)
    yield "</div></section>"


def doubts(material: Material, words: Words) -> Iterator[str]:
    """Yield the samples whose labels are probably wrong."""
    if material.doubts is None:
        yield from _too_weak(material, words)
        return
    yield f"<section class=single><h2>{words['doubts']}</h2>"
    if material.doubts.count == 0:
        yield f"<p>{words['no doubts']}</p></section>"
        return
    said = words["doubts note"].format(shown=len(material.doubts.shown), count=f"{material.doubts.count:,}")
    said += f" {words['doubts file'].format(file=DOUBTS)}" if material.doubtful else ""
    yield f"<p class=note>{marked(said)}</p><div class=shots>"
    yield from (_shot(shot, words["labelled"], words["rather"]) for shot in material.doubts.shown)
    yield "</div></section>"


def _too_weak(material: Material, words: Words) -> Iterator[str]:
    """Yield why no label is doubted, where the model is better than guessing but not by far."""
    scores = None if material.split is None else material.scores[material.split]
    if scores is not None and scores.beats_guessing and not scores.can_doubt:
        said = words["too weak"].format(accuracy=_percent(scores.accuracy), needed=_percent(scores.doubts_above))
        yield f"<section><h2>{words['doubts']}</h2><p>{said}</p></section>"


def _shot(shot: Shot, true: str, called: str) -> str:
    about = f"{shot.label} / {shot.answer}"
    pictures = "".join(picture(image, about) for image in (shot.picture, shot.heat) if image is not None)
    pair = f"<div class=pair>{pictures}</div>" if pictures else ""
    return (
        f"<div class=shot>{pair}<p>{true} <b>{text(shot.label)}</b> ({_percent(shot.given)}), "
        f"{called} <b>{text(shot.answer)}</b> ({_percent(shot.probability)})</p>"
        f"<p class=note>{text(shot.place)}</p></div>"
    )


def _percent(share: float) -> str:
    """Return a share that does not round up to certainty, with its sign on the same line."""
    return f"{100 * share:.2f}\u00a0%" if share < 0.9995 or share == 1 else f"{100 * share:.3f}\u00a0%"
