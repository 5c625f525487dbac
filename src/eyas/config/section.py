"""The base class of all sections of settings: frozen, unknown keys refused, errors in the flags' words."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from eyas.config.synonyms import known_as
from eyas.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class Section(BaseModel):
    """A group of settings. Its field names are flags (`--batch-size`), TOML keys (`batch_size`) and keywords.

    Raises `SettingsError` with one line per wrong value, in the flags' words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError("\n".join(_in_words(error, type(self), values))) from None

    @model_validator(mode="before")
    @classmethod
    def _paths_as_text(cls, given: Any) -> Any:
        """Take a `Path` for every setting that is a text: files, folders, data specs."""
        if not isinstance(given, dict):  # a section that is made already
            return given
        return {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in given.items()}


def _in_words(error: ValidationError, section: type[Section], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line per wrong value: the flag, the value, and what it takes; for an unknown name what we call it."""
    problems: dict[str, list[ErrorDetails]] = {}
    for problem in error.errors():
        problems.setdefault(next((str(part) for part in problem["loc"]), "settings"), []).append(problem)
    for name, found in problems.items():
        if name not in section.model_fields:
            yield f"{name}: there is no such setting.{known_as(name, section.model_fields)}"
            continue
        given = f"--{name.replace('_', '-')} {shown(values.get(name))}"
        if len(found) == 1 and found[0]["type"] in _TOLD and len(found[0]["loc"]) == 1:
            message = found[0]["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
            yield f"{given}: {message}."
        else:  # of another type: pydantic tells of each type that there could be, and of each part
            yield f"{given}: takes {taken_by(section.model_json_schema()['properties'][name])}."


_TOLD = (
    *("value_error", "literal_error", "finite_number"),
    *("greater_than", "greater_than_equal", "less_than", "less_than_equal"),
)
_WORDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "a text"}
_LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


def taken_by(schema: Mapping[str, Any]) -> str:
    """Return what a setting takes, in words, from its JSON schema: `a number above 0`, `'a' or 'b'`, `3 numbers`."""
    kinds: list[str] = []
    for side in schema.get("anyOf", [schema]):
        if "enum" in side or "const" in side:
            kinds += map(repr, side.get("enum") or [side["const"]])
        elif side["type"] == "array":
            kinds.append(f"{side['maxItems']} numbers" if "maxItems" in side else "one text or several")
        elif side["type"] != "null":
            limits = [f"{word} {side[key]:g}" for key, word in _LIMITS.items() if abs(side.get(key, 2**62)) < 2**62]
            of = " of" if limits and limits[0].startswith("at") else ""
            kinds.append(" ".join([_WORDS[side["type"]] + of, " and ".join(limits)]).strip())
    return " or ".join([", ".join(kinds[:-1]), kinds[-1]] if kinds[1:] else kinds)


def shown(value: object) -> str:
    """Return a value as a message shows it: of one line and not long, an object of Python's by its type."""
    if isinstance(value, list | tuple):
        text = " ".join(map(shown, value)) or "(nothing)"
    else:
        plain = value is None or isinstance(value, str | int | float | bool)
        text = (" ".join(str(value).split()) or "''") if plain else f"(a {type(value).__name__})"
    return text if len(text) <= 80 else f"{text[:77]}..."
