"""Foreign text on a terminal: shown, never obeyed."""

from __future__ import annotations

import io
import unicodedata
from typing import TextIO

from eyas import system

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


def speak_plainly(stream: TextIO) -> None:
    """Let a stream write what it has no letters for as escapes; on Windows let it write UTF-8, and lines as they are.

    Windows would write each end of a line as two characters, also that of a CSV, which has two of its own.
    """
    if isinstance(stream, io.TextIOWrapper) and system.NAME == system.WINDOWS:
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="")
    elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")
