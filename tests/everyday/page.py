"""The page docs/everyday-data.md, made of the cases."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import tests.everyday
from tests.bad_input import cell
from tests.everyday.case import QUICK, Case

ORDER = ("folders", "lists", "tables", "labels", "predicting", "images", "models", "flags", "results")
HEAD = """# Data as people really have it

What eyas does with layouts, lists, labels, pictures and models that are nearly, but not quite, the expected form. Every row is run
by `tests/test_everyday.py`, which holds that the words are what is printed; `python -m tests.everyday` writes this page. Input that is
damaged or hostile is in [bad input](bad-input.md), kinds of pictures in [images](images.md).
"""


def sections() -> list[ModuleType]:
    """Return the modules that hold cases, in the order of the page."""
    named = [module.name for module in pkgutil.iter_modules(tests.everyday.__path__)]
    found = [importlib.import_module(f"tests.everyday.{name}") for name in ORDER if name in named]
    return [module for module in found if hasattr(module, "CASES")]


def cases() -> list[Case]:
    """Return all cases."""
    return [case for module in sections() for case in module.CASES]


def page() -> str:
    """Return the page."""
    return HEAD + "".join(_section(module) for module in sections())


def _section(module: ModuleType) -> str:
    rows = "".join(
        f"| {cell(case.what)} | {cell(case.command.replace(QUICK, '').strip())} | {case.code} | {_said(case)} |\n"
        for case in module.CASES
    )
    return f"\n## {module.TITLE}\n\n| input | command | exit code | what eyas says |\n| --- | --- | --- | --- |\n{rows}"


def _said(case: Case) -> str:
    return "<br>".join(map(cell, case.says))
