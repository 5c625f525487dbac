"""Data as people really have it: each kind is read rightly, or refused in words that name the place and a remedy."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from eyas.cli import main
from tests.everyday.case import Case
from tests.everyday.page import cases, page

PAGE = Path(__file__).parent.parent / "docs" / "everyday-data.md"


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.what)
def test_eyas_says_and_does_what_the_page_says(case: Case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    case.make()
    capsys.readouterr()
    code = main(shlex.split(case.command))
    printed = capsys.readouterr()
    said = f"{printed.out} {printed.err}"
    assert code == case.code, said
    for part in case.says:
        assert "".join(part.split()) in "".join(said.split()), said  # a long path breaks lines anywhere
    assert "Traceback" not in said
    case.check()


def test_the_page_is_written_from_the_cases():
    """Changed a case? Run `python -m tests.everyday > docs/everyday-data.md`."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_no_case_is_named_twice():
    names = [case.what for case in cases()]
    assert len(names) == len(set(names))
