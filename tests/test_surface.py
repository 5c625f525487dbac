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


@pytest.mark.parametrize("name", eyas.__all__)
def test_no_public_name_is_also_a_rooms_or_a_files(name):
    """Python would put the module in the name's place as soon as it is loaded."""
    source = Path(eyas.__file__).parent
    assert not (source / name).exists()
    assert not (source / f"{name}.py").exists()
