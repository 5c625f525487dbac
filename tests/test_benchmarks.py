"""The benchmarks' own arithmetic, and that their runners run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(FOLDER))

from measured import RunnerError, measured  # noqa: E402
from table import table  # noqa: E402


def result(contender: str, number: int, seconds: list[float]) -> dict[str, Any]:
    """Return what a runner reports of 100 images in each epoch."""
    times = {"first_step_seconds": 1.0, "epoch_seconds": seconds, "test_seconds": [0.5], "wall_seconds": 9.0}
    return {"contender": contender, "round": number, "train_images": 100, "peak_mb": 500.0, **times}


def row(text: str, name: str) -> dict[str, str]:
    """Return the cells of a contender by the titles of their columns."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return next(dict(zip(lines[0], line, strict=True)) for line in lines if line[0] == name)


def test_a_ratio_is_taken_within_a_round_and_an_epoch_is_one_of_the_later_ones():
    """The machine was ten times as slow in round 2: both sides met that, and the ratio does not show it."""
    plain = [result("plain", 1, [9.0, 2.0]), result("plain", 2, [9.0, 20.0])]
    eyas = [result("eyas", 1, [9.0, 1.0]), result("eyas", 2, [9.0, 10.0])]
    cells = row(table([*plain, *eyas], "images/s"), "eyas")
    assert cells["speed / plain"] == "2 (2 to 2)"
    assert cells["later epochs, s"] == "5.5 (1 to 10)"
    assert cells["rounds"] == "2"


def test_where_seconds_are_compared_fewer_are_faster():
    slow, quick = result("plain", 1, [2.0]), result("eyas", 1, [2.0]) | {"first_step_seconds": 0.25}
    assert row(table([slow, quick], "to the first step, s"), "eyas")["speed / plain"] == "4"


def test_memory_of_processes_that_a_runner_starts_is_counted(tmp_path):
    child = "import time; held = bytearray(150 * 2**20); time.sleep(2.5)"
    parent = (
        "import subprocess, sys; held = bytearray(150 * 2**20);"
        f"subprocess.run([sys.executable, '-c', {child!r}]); print('{{\"train_images\": 1}}')"
    )
    # from a process as small as a benchmark's: a child counts what its parent had in memory when it was made
    small = (
        f"import sys, pathlib; sys.path.insert(0, {str(FOLDER)!r}); from measured import measured;"
        f"print(measured([sys.executable, '-c', {parent!r}], {{}}, pathlib.Path('log.txt'))['peak_mb'])"
    )
    told = subprocess.run([sys.executable, "-c", small], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert 300 < float(told.stdout) < 400


def test_a_runner_that_fails_is_told_with_its_last_words(tmp_path):
    with pytest.raises(RunnerError, match="no such luck"):
        measured([sys.executable, "-c", "raise SystemExit('no such luck')"], {}, tmp_path / "log.txt")


@pytest.mark.slow
@pytest.mark.parametrize("script", ["plain_recipe.py", "with_eyas.py"])
def test_a_runner_reports_every_epoch(script, tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (12, 3), dtype=np.uint8)
    for number, colour in enumerate(colours):
        Image.new("RGB", (32, 32), tuple(colour.tolist())).save(tmp_path / f"{number}.png")
    (tmp_path / "all.txt").write_text("".join(f"{number}.png {number % 3}\n" for number in range(12)))
    lists = [str(tmp_path / "all.txt")] * 2
    flags = ["--model", "compact", "--size", "32", "--batch-size", "4", "--epochs", "2"]
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), *lists, *flags], capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["train_images"], len(said["epoch_seconds"]), len(said["test_seconds"])) == (12, 2, 2)
    assert 0 < said["first_step_seconds"] < 60 and min(said["epoch_seconds"]) > 0
