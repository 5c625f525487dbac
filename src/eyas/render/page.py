"""The page of a run: one self-contained HTML file that needs nothing else, on any screen and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from eyas.data.findings import KINDS, Audit
from eyas.render.chinese import in_chinese
from eyas.render.headline import course, headline, splits
from eyas.render.html import head, marked, stylesheet, text, whole
from eyas.render.material import Material
from eyas.render.mistakes import calibration, doubts, errors
from eyas.render.per_class import classes, confusion
from eyas.render.words import FINDINGS, LANGUAGES, TOLD, Words


def page(material: Material, language: str) -> str:
    """Return the page of a run in a language of `LANGUAGES`. The same material gives the same text."""
    words = LANGUAGES[language]
    scores = None if material.split is None else material.scores[material.split]
    return "\n".join(
        [
            head(words["title"].format(name=material.name), stylesheet(), words["language"]),
            *headline(material, words),
            *splits(material, words),
            *course(material, words),
            *(() if scores is None else classes(scores, words)),
            *(() if scores is None else confusion(scores, words)),
            *(() if scores is None else calibration(material, words)),
            *errors(material, words),
            *doubts(material, words),
            *_data(material, words),
            *_settings(material, words),
            *_commands(material, words),
            f"<footer class=note>{words['made by'].format(version=material.version)}</footer></body></html>\n",
        ]
    )


def _data(material: Material, words: Words) -> Iterator[str]:
    yield f"<section><h2>{words['data']}</h2><p class=note>{marked(words['data note'])}</p><table class=told>"
    titles, told = (TOLD, in_chinese) if words["language"] != "en" else ({}, marked)
    for name, said in material.told:
        yield f"<tr><td>{text(titles.get(name, name))}</td><td class=left><bdi>{told(said)}</bdi></td></tr>"
    yield "</table>"
    for said, warning in material.notes:
        yield f"<p class={'warn' if warning else 'note'}><bdi>{told(said)}</bdi></p>"
    if material.audit is not None:
        yield from _audit(material.audit, words)
    yield "</section>"


def _audit(audit: Audit, words: Words) -> Iterator[str]:
    images = sum(part.images for part in audit.parts)
    yield f"<p>{marked(words['audit note'].format(images=f'{images:,}'))}</p>"
    found = [(kind, audit.totals[kind]) for kind in KINDS if audit.totals.get(kind)]
    if not found:
        yield f"<p>{words['no findings']}</p>"
        return
    titles = FINDINGS if words["language"] != "en" else {kind: about.title for kind, about in KINDS.items()}
    yield f"<div class=wide><table><tr><th>{words['finding']}</th><th></th></tr>"
    yield from (f"<tr><td>{titles[kind]}</td><td>{count:,}</td></tr>" for kind, count in found)
    yield "</table></div>"


def _settings(material: Material, words: Words) -> Iterator[str]:
    yield f"<section><h2>{words['settings']}</h2>"
    if material.settings:
        yield f"<p class=note>{words['settings note']}</p><div class=wide><table><tr><th>{words['setting']}</th>"
        yield f"<th class=left>{words['value']}</th><th class=left>{words['standard']}</th></tr>"
        for name, value, standard in material.settings:
            cells = "".join(f"<td class=left><code>{text(cell)}</code></td>" for cell in (name, value, standard))
            yield f"<tr>{cells}</tr>"
        yield "</table></div>"
    else:
        yield f"<p>{words['no settings']}</p>"
    toml = escape(whole(material.toml))
    yield f"<details><summary>{words['all settings']}</summary><pre>{toml}</pre></details></section>"


def _commands(material: Material, words: Words) -> Iterator[str]:
    yield f"<section><h2>{words['commands']}</h2>"
    for what, command in material.commands:
        yield f"<h3>{words[what]}</h3><pre>{escape(whole(command))}</pre>"
    yield "</section>"
