"""Parses a command line into settings; an unknown flag gets an answer that names the right one."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from eyas.config.section import Section, taken_by
from eyas.config.synonyms import known_as, our_name, same_meaning
from eyas.errors import SettingsError

Commands = Mapping[str, Iterable[type[Section]]]  # the settings of each command
_DASHES = "\u2013\u2014\u2212\u2015"  # what text programs make of hyphens
_NUMBER = re.compile(r"-\.?\d")  # what begins like this is a value, though it begins with a hyphen


@dataclass(frozen=True, slots=True)
class Flag:
    """What a command takes for a field of its settings: behind a flag, or at a place (`name` is a word such as RUN).

    `count` is the number of values: 0 for a switch, None for any number; `takes` says in words what they are.
    """

    field: str
    name: str
    by_place: bool
    count: int | None
    takes: str
    words: tuple[str, ...]  # that stand alone in the place of all values
    optional: bool
    required: bool
    about: str

    @property
    def written(self) -> str:
        """How the user writes it."""
        return self.name.strip("[]") if self.by_place else f"--{self.name.replace('_', '-')}"

    def in_words(self) -> str:
        """Return what it takes, as a sentence."""
        return f"{self.written} takes {'no value' if self.count == 0 else self.takes}."


def flags_of(sections: Iterable[type[Section]]) -> dict[str, Flag]:
    """Return what a command takes, by name; what has a place by its field, in the order of the places."""
    found = {}
    for section in sections:
        schemas = section.model_json_schema()["properties"]
        for field, info in section.model_fields.items():
            sides = schemas[field].get("anyOf", [schemas[field]])
            by_place = any(mark is Positional for mark in info.metadata)
            named = (getattr(mark, "metavar" if by_place else "name", None) for mark in info.metadata)  # tyro's
            name = next((name for name in named if name), field)
            found[field if by_place else name] = Flag(
                field, name, by_place, _count(sides), taken_by(schemas[field]), _words(sides),
                {"type": "null"} in sides,
                info.is_required(), " ".join((info.description or "").split()),
            )  # fmt: skip
    return found


def _count(sides: list[dict[str, Any]]) -> int | None:
    several = [side for side in sides if side.get("type") == "array"]
    if several:
        return several[0].get("maxItems")
    return 0 if any(side.get("type") == "boolean" for side in sides) else 1


def _words(sides: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(str(word) for side in sides for word in side.get("enum", [side["const"]] if "const" in side else []))


def read_arguments(command: str, commands: Commands, arguments: list[str]) -> dict[str, Any]:
    """Return what was given, by field: text, or several, or whether a switch is on; where nothing, None is left out.

    Raises `SettingsError` for what the command does not take, and for another number of values.
    """
    flags, values, rest = flags_of(commands[command]), dict[str, Any](), deque(arguments)
    before, more_flags = None, True
    while rest:
        word = rest.popleft()
        if word == "--" and more_flags:
            more_flags = False  # what follows are no flags, whatever they begin with
            continue
        if not (more_flags and _is_flag(word)):
            if not _put(word, values, flags):
                why = _too_many(word, command, commands, values, before)
                raise SettingsError(f"{word.strip() or repr(word)}:{why}")
            before = None
            continue
        written, equals, value = word.partition("=")
        flag = before = _flag(written, flags)
        if flag is None:
            file = f" The file of this name is written ./{word}." if Path(word).exists() else ""
            raise SettingsError(f"{written}:{_hint(written, command, commands)}{file}")
        if flag.count == 0 and equals:
            raise SettingsError(f"{word}: {flag.in_words()} Leave it away, or write --no-{flag.written[2:]}.")
        if flag.count == 0:
            values[flag.field] = flag.written == written.replace("_", "-")
        else:
            values[flag.field] = _value(flag, [value] if equals else _taken(rest, flag))
    return values


def check_required(command: str, commands: Commands, values: Mapping[str, Any]) -> None:
    """Raise `SettingsError` where a place that must be filled is empty."""
    flags = flags_of(commands[command]).values()
    took = [flag.written for flag in flags if flag.count is None and not flag.by_place and values.get(flag.field)]
    for flag in flags:
        if flag.required and flag.field not in values:
            before = f" It stands before {took[0]}, which takes all words behind it." if took else ""
            raise SettingsError(f"{flag.written} is missing: {flag.about}{before} See eyas {command} --help.")


def _is_flag(word: str) -> bool:
    return word.startswith("-") and word != "-" and not _NUMBER.match(word)


def _flag(written: str, flags: Mapping[str, Flag]) -> Flag | None:
    """Return the flag that is written so, also with --no- before a switch."""
    name = written.replace("-", "_").removeprefix("__")
    switch = flags.get(name.removeprefix("no_"))
    flag = flags.get(name) or (switch if switch is not None and switch.count == 0 else None)
    return flag if flag is not None and not flag.by_place and written.startswith("--") else None


def _taken(rest: deque[str], flag: Flag) -> list[str]:
    """Take as many words as a flag has values, fewer where another flag comes before."""
    taken: list[str] = []
    if rest and rest[0] in flag.words:
        return [rest.popleft()]
    while rest and not _is_flag(rest[0]) and (flag.count is None or len(taken) < flag.count):
        taken.append(rest.popleft())
    return taken


def _value(flag: Flag, given: list[str]) -> Any:
    if not given and not (flag.count is None and flag.optional):  # those may be none: all are meant
        raise SettingsError(f"{flag.written}: takes {flag.takes}, and no value stands behind it. {flag.about}")
    if flag.optional and given == ["None"] and "a text" not in flag.takes:  # `--test None` is of another meaning
        return None
    if flag.count == 1 or (len(given) == 1 and given[0] in flag.words):
        return _not_empty(flag, given[0])
    if flag.count is not None and len(given) != flag.count:
        parts = re.split(r"[,;x\s]+", given[0].strip("[]() ")) if len(given) == 1 else given
        example = parts if len(parts) == flag.count else parts[:1] * flag.count
        raise SettingsError(
            f"{flag.written} {' '.join(given)}: takes {flag.takes} with spaces between them, not {len(given)}, such as "
            f"{' '.join([flag.written, *example])}."
        )
    return given


def _not_empty(flag: Flag, given: str) -> str:
    """Return a text; raises `SettingsError` for an empty one: as a path it would be the current folder."""
    if not given and " text" in flag.takes and flag.field not in ("val", "test"):  # there it means none
        raise SettingsError(f"{flag.written} '': is an empty text: was a variable of the shell not set? {flag.about}")
    return given


def _put(word: str, values: dict[str, Any], flags: Mapping[str, Flag]) -> bool:
    """Put a word into the next place that is free; return whether there is one."""
    for place in (flag for flag in flags.values() if flag.by_place):
        if place.count is None:
            values.setdefault(place.field, []).append(_not_empty(place, word))
            return True
        if place.field not in values:
            values[place.field] = _not_empty(place, word)
            return True
    return False


def _too_many(word: str, command: str, commands: Commands, values: Mapping[str, Any], before: Flag | None) -> str:
    """Return why a word has no place. `before` is the flag whose values ended just before it."""
    flags = flags_of(commands[command])
    name, equals, value = word.partition("=")
    if word[:1] in _DASHES and (flag := _flag(f"--{name.lstrip(_DASHES)}", flags)):
        return f" is written with a dash; a flag begins with two hyphens: {flag.written} {value}".rstrip()
    if not word.strip():
        return " is one too many: a word of nothing. A \\ that goes on in the next line is the last sign of its own."
    if before and before.field == "columns":
        return f" is no flag: the columns are one word, with commas between them. {before.about}"
    if equals and (flag := _flag(f"--{name}", flags)):
        return f" a flag is written with two hyphens: {flag.written} {value}"
    if equals and name.isidentifier():
        return _hint(name, command, commands)
    filled = " and ".join(f"{flag.written} ({values[flag.field]})" for flag in flags.values() if flag.by_place)
    takes = f" {before.in_words()}" if before else ""
    return f" is one too many: eyas {command} takes {filled or 'flags only'}.{takes}"


def _hint(written: str, command: str, commands: Commands) -> str:
    """Return what is meant: ours of the same meaning, a flag of another command, ours of like spelling."""
    flags, none = flags_of(commands[command]), f" eyas {command} has no such flag."

    def of(flags: Mapping[str, Flag]) -> Callable[[str], str]:
        return lambda name: flags[name].written + (", which has no flag before it" if flags[name].by_place else "")

    if said := same_meaning(written, flags, of(flags)):
        return said if "calls it" in said else none + said
    elsewhere = {other: flags_of(sections) for other, sections in commands.items()}
    if having := [other for other, theirs in elsewhere.items() if _flag(written, theirs)]:
        return f"{none} It is one of eyas {' and eyas '.join(having[:3])}."
    if said := known_as(written, flags, of(flags), [name for name, flag in flags.items() if not flag.by_place]):
        return none + said
    for other, theirs in elsewhere.items():
        if name := our_name(written, theirs):
            return f"{none} eyas {other} calls it {of(theirs)(name)}."
    return f"{none} See eyas {command} --help."
