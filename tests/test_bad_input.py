"""Every kind of bad input is answered in words, with the right exit code, and the page of them is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import hostile
from tests.bad_input import CASES, Bad, page, rows

PAGE = Path(__file__).parent.parent / "docs" / "bad-input.md"
Found = list[tuple[Bad, int, str]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("bad"))
        result = rows()
        assert not Path(hostile.CANARY).exists()
    return result


def test_there_are_at_least_forty_kinds():
    assert len(CASES) >= 40
    assert len({bad.what for bad in CASES}) == len(CASES)


def test_each_is_refused_in_words_with_its_exit_code(found):
    for bad, code, said in found:
        settings = "--config" in bad.command
        assert code == (2 if settings else 65), f"{bad.what}: {code}: {said}"
        assert said, bad.what
        assert "Traceback" not in said, bad.what
        assert said.replace("\n", "").isprintable(), bad.what
        assert len(said) < 2000, bad.what


def test_the_page_is_what_is_printed(found):
    """Changed a message? Run `python -m tests.bad_input > docs/bad-input.md`."""
    assert PAGE.read_text(encoding="utf-8") == page(found)
