"""Foreign text and pictures as HTML that shows them and nothing else."""

from __future__ import annotations

import base64
import io
import re
from html import escape
from pathlib import Path

from PIL import Image

EDGE = 160  # pixels of a picture on a page; it is stored twice as large, for screens that are that fine
RULES = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # nothing is loaded, nothing runs


def text(words: str) -> str:
    """Return foreign text as HTML that shows it and nothing else, also where it turns the direction of writing."""
    return f"<bdi>{escape(whole(words))}</bdi>"


def marked(words: str) -> str:
    """Return a sentence of eyas's own as HTML: what stands between grave accents is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(whole(words)))


def whole(words: str) -> str:
    """Return a text that can be written as UTF-8: file names may hold any bytes."""
    return words.encode("utf-8", "backslashreplace").decode()


def picture(image: Image.Image, about: str = "") -> str:
    """Return an img element that holds its picture: small ones exactly, as PNG, others as JPEG."""
    small = max(image.size) <= EDGE // 2
    shown, data = image.copy(), io.BytesIO()
    shown.thumbnail((2 * EDGE, 2 * EDGE))
    shown.save(data, "PNG" if small else "JPEG", quality=80)
    kind, name = ("png", "small") if small else ("jpeg", "large")
    content = base64.b64encode(data.getvalue()).decode()
    return f'<img class={name} src="data:image/{kind};base64,{content}" alt="{escape(whole(about), quote=True)}">'


def stylesheet() -> str:
    """Return the style of pages on runs."""
    return Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def head(title: str, style: str, language: str = "en") -> str:
    """Return a page's beginning, up to its body."""
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="{language}"><head><meta charset="utf-8"><title>{escape(whole(title))}</title>',
            f'<meta http-equiv="Content-Security-Policy" content="{RULES}">',
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head><body>',
        ]
    )
