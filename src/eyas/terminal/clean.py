"""Foreign text on a terminal: shown, never obeyed."""

from __future__ import annotations

import sys
import unicodedata
from html import escape

STEERING = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))  # controls, directions, undecodable bytes, line separators


def clean(text: object) -> str:
    """Return `text` with what could steer a terminal (controls, directions, undecodable bytes) escaped."""
    said = str(text)
    if said.isascii() and said.isprintable():
        return said
    return "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character) in STEERING else character
        for character in said
    )


def clean_lines(text: object) -> str:
    """Return `text` as `clean` does, its line ends kept: for messages of several lines."""
    return "\n".join(clean(line) for line in str(text).split("\n"))


def told(message: str, code: int) -> int:
    """Print a message on stderr; return the exit code."""
    print(f"eyas: {clean_lines(message)}", file=sys.stderr)
    return code


def clean_html(text: object) -> str:
    """Return `text` as `clean` does, as HTML."""
    return escape(clean(text))
