"""Law 8: the public names and the flags equal a committed list."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import eyas

ROOT = Path(__file__).parent.parent


def test_public_names_and_flags_equal_the_committed_list():
    """On purpose changed? Run `scripts/surface`, and say so in CHANGELOG.md."""
    command = [sys.executable, str(ROOT / "scripts" / "surface"), "--print"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == (ROOT / "tests" / "surface.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", eyas.__all__)
def test_every_public_name_is_there_and_is_documented(name):
    assert getattr(eyas, name).__doc__


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        eyas.trian  # noqa: B018
