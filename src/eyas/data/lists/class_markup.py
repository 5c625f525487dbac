"""Class names in JSON, in YAML under `names:`, in Python lists and dictionaries."""

from __future__ import annotations

import json
import re
from typing import NamedTuple, NoReturn

_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_NAMES = re.compile(r"^names[ \t]*:", re.MULTILINE)
_SCALAR = r"""\s*(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|'')*'|[^\s,\[\]{}"'#:&*!|>@%`?][^,\[\]{}#:\n]*)"""
_KEY = r"""(?P<key>"[^"]*"|'[^']*'|[^\s:'"-][^:]*|-[0-9]+)"""
_ITEM = re.compile(rf"(?P<indent> *)(?:- +(?P<item>\S.*)|{_KEY} *: +(?P<value>\S.*))")
_FORMS = "It may be a list of names, {number: name} or {name: number}"


class Entry(NamedTuple):
    """A class of a class file: where it stands, its name, its number if it has one."""

    line: int
    name: str
    number: int | None = None


class UnclearError(Exception):
    """A line of a class file that may be meant in two ways, or in none."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"{line}: {reason}.")


def as_number(text: str) -> int | None:
    """Return the number that a text is: digits without anything else, not written with zeros before it."""
    return int(text) if _NUMBER.fullmatch(text) else None


def is_markup(text: str, suffix: str) -> bool:
    """Tell whether a class file is JSON or YAML: by its ending, by `names:`, by dashes or brackets."""
    if suffix in (".json", ".yaml", ".yml") or (suffix != ".csv" and _NAMES.search(text)):
        return True
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines or lines[0].lstrip()[0] not in "[{":
        return bool(lines) and all(line.startswith("- ") for line in lines)
    return text.rstrip()[-1] in "]}" or not any(end in lines[0] for end in "]}")


def read_markup(text: str, suffix: str) -> list[Entry]:
    """Return the classes of such a file. Raises `UnclearError`."""
    if suffix in (".yaml", ".yml") or (suffix != ".json" and text.lstrip()[:1] not in ("[", "{")):
        return _from_yaml(text)
    try:
        value = json.loads(text, object_pairs_hook=tuple)  # an object becomes a tuple of pairs: no key is lost
        while isinstance(value, tuple) and len(value) == 1 and isinstance(value[0][1], list | tuple):
            value = value[0][1]  # {"names": [...]}
        if not isinstance(value, list | tuple):
            raise UnclearError(1, f"this JSON holds no class names. {_FORMS}")
        place, found = 0, list[tuple[int, str | int | None, str | int]]()
        for key, item in [(None, item) for item in value] if isinstance(value, list) else value:
            place = max(place, text.find(json.dumps(item if key is None else key, ensure_ascii=False), place))
            if type(item) not in (str, int) or (type(item) is int and as_number(str(item)) is None):
                which = f"class {len(found)}" if key is None else repr(key)
                raise UnclearError(_line(text, place), f"what stands for {which} is no name. {_FORMS}")
            found.append((_line(text, place), key, item))
        return _entries(found)
    except json.JSONDecodeError as error:
        if suffix == ".json":
            raise UnclearError(error.lineno, f"this is no JSON: {error.msg}") from None
        entries, place = _flow(text, len(text) - len(text.lstrip()))
        return _odd(text, place) if text[place:].strip() else entries
    except (RecursionError, ValueError):
        raise UnclearError(1, f"this JSON holds no class names. {_FORMS}") from None


def _entries(found: list[tuple[int, str | int | None, str | int]]) -> list[Entry]:
    """Return classes given as (line, key, value): names alone, {number: name} or {name: number}."""
    if not found or found[0][1] is None:
        return [Entry(line, str(value).strip()) for line, _, value in found]
    keys = [as_number(str(key)) for _, key, _ in found]
    values = [as_number(str(value)) for _, _, value in found]
    if None not in keys and None not in values and keys != values:
        numbers = sorted(number for number in values if number is not None)
        by_name = all(type(key) is str and type(value) is int for _, key, value in found)
        if not by_name or numbers not in (list(range(len(found))), list(range(1, len(found) + 1))):
            more = "which are the names? Write lines of a number and a name (0 1990) into a .txt file"
            raise UnclearError(found[0][0], f"both sides are numbers: {more}")
        keys = [None]
    if None not in keys:
        return [Entry(line, str(value).strip(), key) for (line, _, value), key in zip(found, keys, strict=True)]
    for (line, key, value), number in zip(found, values, strict=True):
        if number is None:
            raise UnclearError(line, f"neither {key!r} nor {value!r} is a number (digits without zeros before them)")
    return [Entry(line, str(key).strip(), number) for (line, key, _), number in zip(found, values, strict=True)]


# YAML: one block or one pair of brackets under `names:`; whatever else YAML knows is refused.


def _from_yaml(text: str) -> list[Entry]:
    starts = list(_NAMES.finditer(text))
    if len(starts) > 1:
        raise UnclearError(_line(text, starts[1].start()), "a second 'names:'")
    place = starts[0].end() if starts else 0
    rest = re.compile(r"[ \t]*(#.*)?").sub("", text[place:].partition("\n")[0], count=1) if starts else ""
    if rest[:1] in ("[", "{"):
        entries, _ = _flow(text, text.index(rest[0], place))
    elif rest:
        raise UnclearError(_line(text, place), "'names:' is followed by neither a list nor a dictionary of names")
    else:
        try:
            entries = _block(text, place, whole=not starts)
        except UnclearError:
            if starts:
                raise
            raise UnclearError(1, "this YAML has no 'names:' with '- name' or 'number: name' below it") from None
    count = re.search(r"^nc[ \t]*:[ \t]*(\d+)", text, re.MULTILINE)
    if count and int(count[1]) != len(entries):
        raise UnclearError(_line(text, count.start()), f"nc is {count[1]}, but {len(entries)} names are given")
    return entries


def _block(text: str, place: int, *, whole: bool) -> list[Entry]:
    """Return the classes of `- name` or `number: name` lines, all at one depth, up to the next key."""
    found: list[tuple[int, str | int | None, str | int]] = []
    shape = None
    for line, content in enumerate(text[place:].split("\n"), _line(text, place)):
        if content.strip() in ("", "---") or content.lstrip()[0] == "#":
            continue
        if not whole and content[0] not in " \t-":
            break
        match = _ITEM.fullmatch(content.rstrip())
        this = (match["indent"], match["key"] is None) if match else None
        if match is None or this != (shape := shape or this):
            raise UnclearError(line, "neither '- name' nor 'number: name' at the depth of the others")
        key = None if match["key"] is None else _scalar(match["key"], line)
        found.append((line, key, _scalar(match["item"] or match["value"], line)))
    if not found:
        raise UnclearError(_line(text, place), "no names follow")
    return _entries(found)


def _flow(text: str, place: int) -> tuple[list[Entry], int]:
    """Return the classes between the brackets that open at `place`, and where their last line ends."""
    mapped, end = text[place] == "{", r"\s*\}" if text[place] == "{" else r"\s*\]"
    found: list[tuple[int, str | int | None, str | int]] = []
    place += 1

    def take(pattern: str) -> str:
        nonlocal place
        match = re.compile(pattern).match(text, place) or _odd(text, place)
        place = match.end()
        return match[0].strip()

    while (closing := re.compile(rf"{end}[ \t]*(#.*)?(\n|$)").match(text, place)) is None:
        key = _scalar(take(_SCALAR), _line(text, place)) if mapped else None
        if mapped:
            take(r"\s*:")
        line = _line(text, place)
        found.append((line, key, _scalar(take(_SCALAR), _line(text, place))))
        if not re.compile(end).match(text, place):
            take(r"\s*,")
    return (_entries(found), closing.end()) if found else _odd(text, place)


def _odd(text: str, place: int) -> NoReturn:
    place += len(text[place:]) - len(text[place:].lstrip())
    line = _line(text, min(place, len(text.rstrip()) - 1))
    raise UnclearError(line, "this is no list of names: commas separate them, and quotation marks hold other signs")


def _scalar(text: str, line: int) -> str | int:
    """Return a value as YAML writes it, `text` or `text # comment`; numbers as such. Raises `UnclearError`."""
    quoted = re.fullmatch(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')(\s+#.*)?""", text)
    if quoted and quoted[1][0] == "'" and "\\" not in text:
        return quoted[1][1:-1].replace("''", "'")
    try:
        if quoted:
            return str(json.loads(quoted[1]))
    except ValueError:
        pass
    plain = re.split(r"\s#", text, maxsplit=1)[0].strip()
    if not plain or plain[0] in "&*!|>@%`{}[],#\"'" or plain[:2] in ("- ", "? ") or re.search(r":(\s|$)", plain):
        raise UnclearError(line, f"{text}: YAML means more by this than a name; put the name in quotation marks")
    return int(plain) if as_number(plain) is not None else plain


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1
