"""Path and file name rules of each system: what is absolute, and what cannot be written."""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from pathlib import Path

from eyas.files import system
from eyas.terminal.clean import STEERING

LONGEST = 200  # bytes of a name: what is written aside gets some more
# names that Windows keeps for itself
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9\u00b9\u00b2\u00b3]) *(\..*)?", re.IGNORECASE)
_FORBIDDEN = frozenset('/\\<>:"|?*' + "".join(map(chr, range(32))))  # in a name, on one of the systems


def slashed(path: str) -> str:
    """Return a path with `/` between its parts."""
    return path.replace("\\", "/") if system.NAME == system.WINDOWS else path


def is_absolute(path: str | bytes) -> bool:
    """Tell whether a path with `/` between its parts begins at the root, or on Windows with a drive."""
    return path[:1] in ("/", b"/") or (system.NAME == system.WINDOWS and path[1:3] in (":/", b":/"))


def last_part(path: str) -> str:
    """Return a path's last part: the name of a file or folder."""
    return slashed(path).rstrip("/").rpartition("/")[2]


def safe_name(text: str) -> str:
    """Return a text as a file's or folder's name, on any system."""
    letters = ("_" if letter in _FORBIDDEN or unicodedata.category(letter) in STEERING else letter for letter in text)
    name = cut("".join(letters), LONGEST).rstrip(" .") or "_"
    # hidden folders are left out where a data set is read; Windows keeps some names for itself
    return f"_{name}" if name[0] == "." or name[0] == " " or _DEVICE.fullmatch(name) else name


def cut(name: str, longest: int) -> str:
    """Return a name of at most `longest` bytes, its ending kept."""
    encoded = os.fsencode(name)
    if len(encoded) <= longest:
        return name
    stem, ending = os.path.splitext(name)  # noqa: PTH122 - a Path of that name may be refused
    ending = ending if len(os.fsencode(ending)) < 20 else ""
    return os.fsencode(stem)[: longest - len(os.fsencode(ending))].decode("utf-8", "ignore") + ending


def refused_name(path: Path) -> str | None:
    """Return the part of a path that this system would refuse or change in writing; None for none."""
    if system.NAME != system.WINDOWS:
        return None
    for part in path.parts:
        name = part.rstrip("\\/")
        is_step = name in (".", "..") or (part == path.anchor)
        if not is_step and (name[-1:] in (" ", ".") or _DEVICE.fullmatch(name) or _FORBIDDEN & set(name)):
            return name
    return None


def quoted(text: str) -> str:
    """Return a text as one word of a command line."""
    if system.NAME != system.WINDOWS:
        return shlex.quote(text)
    # as both of its shells read it, but for their own signs of variables ($, %)
    return f'"{text}"' if not text or re.search(r"[^\w.:\\/-]", text) else text
