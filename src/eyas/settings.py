"""What every section of settings has in common: frozen, unknown keys refused. No section imports torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from eyas.errors import SettingsError, suggest


class Section(BaseModel):
    """A group of settings. Its field names are flags (`--batch-size`), TOML keys (`batch_size`) and keywords.

    Raises `SettingsError` with one line per wrong value, in the flags' words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError("\n".join(_in_words(error, type(self).model_fields))) from None

    @model_validator(mode="before")
    @classmethod
    def _paths_as_text(cls, given: Any) -> Any:
        """Take a `Path` for every setting that is a text: files, folders, data specs."""
        if not isinstance(given, dict):  # a section that is made already
            return given
        return {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in given.items()}


def _in_words(error: ValidationError, known: Iterable[str]) -> list[str]:
    """Return a line per wrong value: the flag, the value, and what it should be; for an unknown name the nearest."""
    lines = []
    for problem in error.errors():
        name = next((part for part in problem["loc"] if isinstance(part, str)), "settings")
        if problem["type"] == "extra_forbidden":
            lines.append(f"{name}: there is no such setting.{suggest(name, known)}")
            continue
        message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        lines.append(f"--{name.replace('_', '-')} {problem['input']}: {message}.")
    return lines
