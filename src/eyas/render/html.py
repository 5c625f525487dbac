"""HTML pages from Jinja templates with autoescape; images are embedded."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from PIL import Image

from eyas.render.language import language, marked

if TYPE_CHECKING:
    from jinja2 import Environment

EDGE = 160  # pixels of a picture on a page; it is stored twice as large, for screens that are that fine


def page(template: str, spoken: str, values: Mapping[str, Any]) -> str:
    """Return the page of a file of `templates/` in a language of `LANGUAGES`.

    It may hold bytes of file names that are no text, as surrogates: write it with `errors="backslashreplace"`.
    """
    words = language(spoken)
    return rendered(template, {**values, "words": words, "say": words.say})


def rendered(template: str, values: Mapping[str, Any]) -> Markup:
    """Return a file of `templates/` with values, each escaped unless it is HTML itself."""
    return Markup(_environment().get_template(template).render(values))


@lru_cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = FileSystemLoader(Path(__file__).parent / "templates")
    made = Environment(
        autoescape=True, loader=folder, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {filter.__name__: filter for filter in (foreign, marked, picture, percent, likelihood)}
    made.filters |= {"thousands": "{:,}".format, "px": "{:.1f}".format}
    return made


def foreign(words: str) -> Markup:
    """Return foreign text as HTML that shows it and nothing else, also where it turns the direction of writing."""
    return Markup("<bdi>{}</bdi>").format(words)


def picture(image: Image.Image, about: str = "") -> Markup:
    """Return an img element that holds its picture: small ones exactly, as PNG, others as JPEG."""
    small = max(image.size) <= EDGE // 2
    shown, data = image.copy(), io.BytesIO()
    shown.thumbnail((2 * EDGE, 2 * EDGE))
    shown.save(data, "PNG" if small else "JPEG", quality=80)
    kind, name = ("png", "small") if small else ("jpeg", "large")
    content = base64.b64encode(data.getvalue()).decode()
    return Markup('<img class={} src="data:image/{};base64,{}" alt="{}">').format(name, kind, content, about)


def percent(share: float, digits: int = 2) -> str:
    """Return a share in percent; one that is not known is a dash."""
    return f"{100 * share:.{digits}f} %" if share == share else "–"


def likelihood(share: float) -> str:
    """Return a share that does not round up to certainty, with its sign on the same line."""
    return f"{100 * share:.2f}\u00a0%" if share < 0.9995 or share == 1 else f"{100 * share:.3f}\u00a0%"
