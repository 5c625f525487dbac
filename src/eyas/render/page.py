"""The page of a run: one self-contained HTML file that needs nothing else, on any screen and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files

from eyas.render.answers import calibration, doubts, errors
from eyas.render.html import head, text, whole
from eyas.render.material import Material
from eyas.render.overview import course, headline, splits
from eyas.render.per_class import classes, confusion
from eyas.render.words import LANGUAGES, Words


def page(material: Material, language: str) -> str:
    """Return the page of a run in a language of `LANGUAGES`. The same material gives the same text."""
    words = LANGUAGES[language]
    style = files("eyas.render").joinpath("page.css").read_text(encoding="utf-8")
    scores = None if material.split is None else material.scores[material.split]
    return "\n".join(
        [
            head(words["title"].format(name=material.name), style, words["language"]),
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
    yield f"<section><h2>{words['data']}</h2><p class=note>{words['data note']}</p><div class=wide><table>"
    yield from (f"<tr><td>{text(name)}</td><td class=left>{text(said)}</td></tr>" for name, said in material.told)
    yield "</table></div>"
    for said, warning in material.notes:
        yield f"<p class={'warn' if warning else 'note'}>{text(said)}</p>"
    yield "</section>"


def _settings(material: Material, words: Words) -> Iterator[str]:
    yield f"<section><h2>{words['settings']}</h2>"
    if material.settings:
        yield f"<p class=note>{words['settings note']}</p><div class=wide><table><tr><th>{words['setting']}</th>"
        yield f"<th class=left>{words['value']}</th><th class=left>{words['standard']}</th></tr>"
        for name, value, standard in material.settings:
            yield f"<tr><td>{text(name)}</td><td class=left>{text(value)}</td><td class=left>{text(standard)}</td></tr>"
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
