"""The texts of pages in each language, from `words/`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from eyas.data.findings import KINDS

LANGUAGES = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Language:
    """One file of `words/`. Without `sentences` a run's own words are shown as they are, in English."""

    words: dict[str, str]
    sentences: dict[str, str] = field(default_factory=dict)  # regular expression -> translation
    facts: dict[str, str] = field(default_factory=dict)  # what a run says at its start is about
    findings: dict[str, str] = field(default_factory=lambda: {kind: about.title for kind, about in KINDS.items()})
    remedies: dict[str, str] = field(default_factory=lambda: {kind: about.remedy for kind, about in KINDS.items()})

    def say(self, key: str, **values: Any) -> Markup:
        """Return a sentence as HTML, its values escaped unless they are HTML themselves."""
        return marked(self.words[key]).format(**values)

    def translated(self, said: str) -> Markup:
        """Return what a run said as HTML, clause by clause; a clause without a known form is quoted, as code."""
        if not self.sentences:
            return marked(said)
        clauses = [self._clause(said)] if self._clause(said) else [
            self._clause(part) or f"`{part}`" for part in said.split("; ")]  # fmt: skip
        return marked("；".join(map(str, clauses)))

    def _clause(self, said: str) -> str | None:
        matches = ((re.fullmatch(form, said), translation) for form, translation in self.sentences.items())
        return next((match.expand(translation) for match, translation in matches if match), None)


@lru_cache
def language(name: str) -> Language:
    """Return a language of `LANGUAGES`."""
    file = Path(__file__).parent / "words" / f"{name}.toml"
    return Language(**tomllib.loads(file.read_text(encoding="utf-8")))


def marked(words: str) -> Markup:
    """Return a sentence of eyas's own as HTML: what stands between grave accents is code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(words))))
