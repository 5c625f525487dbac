"""The matrix of conditions: its rows and parts are there, and its table has a place."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def matrix() -> dict[str, Any]:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        environments = runpy.run_path(str(ROOT / "scripts" / "environments.py"))
        return environments | runpy.run_path(str(ROOT / "scripts" / "matrix"))
    finally:
        sys.path.remove(str(ROOT / "scripts"))


def test_every_part_is_a_file_or_a_folder_of_tests(matrix):
    assert [part for part in matrix["PARTS"] if not (ROOT / part).exists()] == []


def test_the_table_has_only_rows_that_the_script_has(matrix):
    names = [row.name for row in matrix["rows"]()]
    assert len(set(names)) == len(names)
    table = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
    table = table.partition("<!-- generated: matrix -->")[2].partition("<!-- end -->")[0]
    shown = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")]
    assert set(shown) <= {"row", *names}


def test_the_lowest_versions_are_those_of_the_project_and_the_tools_come_in_any(matrix):
    pinned = [one.replace(">=", "==") for one in matrix["requirements"](*matrix["EXTRAS"])]
    assert {"torch==2.10", "onnxruntime==1.22"} <= set(pinned)
    assert all(one.count("==") == 1 for one in pinned)
    assert "pytest" in matrix["tools"]()


def test_an_unknown_row_is_told_with_those_there_are():
    command = [sys.executable, str(ROOT / "scripts" / "matrix"), "--rows", "avx3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such row: avx3; there are as-is, avx2" in done.stderr
