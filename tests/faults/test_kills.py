"""A training that is killed at random moments, also while it saves, and started again."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.faults.phases import MARKS
from tests.faults.records import assert_equal_to_uncut, assert_nothing_lost, left_over
from tests.faults.trial import Hatchery

import eyas
from eyas.files.atomic import folder_lock


@pytest.mark.parametrize(("module", "name"), sorted({mark[:2] for mark in MARKS.values()}))
def test_a_named_point_names_a_function_that_is_there(module, name):
    """A signal whose function was moved would never be sent."""
    tree = ast.parse((Path(eyas.__file__).parent.parent / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def with_workers(run: Path, number: int) -> None:
    """Let the next start of a run read its images with another number of processes."""
    config = run / "config.toml"
    if config.exists():
        text = re.sub(r"^(workers|cache) = .*\n", "", config.read_text(), flags=re.MULTILINE)
        config.write_text(text.replace("[data]\n", f'[data]\ncache = "none"\nworkers = {number}\n'))


def next_start(run: Path, command: list[str]) -> list[object]:
    """Return what a user would type next."""
    return ["resume", run] if (run / "config.toml").exists() else [*command, run]


def kill_again_and_again(hatchery: Hatchery, command: list[str], uncut: Path, folder: Path, kills: int) -> None:
    """Train to the end through `kills` kills, as many runs as that takes."""
    run, random, began = folder / "run", np.random.default_rng(kills), False
    killed = ended = 0
    while killed < kills or not ended:
        with_workers(run, int(random.integers(4)))
        trial = hatchery.start(*next_start(run, command), TMPDIR=str(folder))
        if killed < kills:
            time.sleep(random.uniform(0, 1.5 if random.random() < 0.5 else 0.4))
        else:
            trial.wait()
        if (code := trial.poll()) is None:
            trial.kill()
            killed += 1
        else:
            assert code == 0, trial.text
            assert_equal_to_uncut(run, uncut)
            shutil.rmtree(run)
            began, ended = False, ended + 1
            continue
        if run.exists():
            with folder_lock(run):  # what was half-written when it died goes with the next to hold the run
                began = assert_nothing_lost(run, began=began) > 0
                assert left_over(run) == []


@pytest.mark.parametrize("kills", [12, pytest.param(120, marks=pytest.mark.torture)])
def test_a_run_killed_at_random_moments_always_has_a_whole_state_and_ends_as_an_uncut_one(
    hatchery, command, uncut, tmp_path, kills, tally
):
    kill_again_and_again(hatchery, command, uncut, tmp_path, kills)
    tally("SIGKILL at a random moment, 0 to 3 workers", kills)


@pytest.mark.parametrize("kills", [pytest.param(4), pytest.param(25, marks=pytest.mark.torture)])
def test_the_folder_for_temporary_files_may_lie_on_another_file_system(
    hatchery, command, uncut, tmp_path, kills, tally
):
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    folder = other / f"eyas-{os.getpid()}-{kills}"
    folder.mkdir()
    try:
        run, random, began = folder / "run", np.random.default_rng(kills), False
        for _ in range(kills):
            trial = hatchery.start(*next_start(run, command), TMPDIR=str(tmp_path))
            time.sleep(random.uniform(0, 0.8))
            trial.kill()
            began = run.exists() and assert_nothing_lost(run, began=began) > 0
        last = hatchery.run(*next_start(run, command), TMPDIR=str(tmp_path))
        assert last.code == 0, last.text
        assert_equal_to_uncut(run, uncut)
        assert list(tmp_path.iterdir()) == [], "nothing goes into the folder for temporary files"
    finally:
        shutil.rmtree(folder)
    tally("SIGKILL, `$TMPDIR` on another file system", kills)


POINTS = [*(phase for phase in MARKS if phase != "while it loads"), *(f"step {number}" for number in range(1, 10))]


@pytest.mark.torture
@pytest.mark.parametrize("point", POINTS)
def test_a_run_killed_or_stopped_at_a_named_point_ends_as_an_uncut_one(
    hatchery, command, uncut, tmp_path, point, tally
):
    for number in (signal.SIGKILL, signal.SIGTERM):
        run = tmp_path / number.name
        trial = hatchery.run("--phase", point, number.value, *command, run, call="tests.faults.phases:main_stopped_at")
        # told to stop in its last step, a run is complete
        assert trial.code in ((-9,) if number == signal.SIGKILL else (75, 0)), trial.text
        if trial.code:
            assert_nothing_lost(run, began=(run / "state.safetensors").exists())
            assert hatchery.run("resume", run).code == 0
        assert_equal_to_uncut(run, uncut)
    tally("SIGKILL and SIGTERM at every step and at named points", 2)


def test_a_command_of_its_own_killed_while_it_trains_goes_on(command, uncut, tmp_path, tally):
    """Not forked: as a user starts it, with its imports."""
    run, python = tmp_path / "run", [sys.executable, "-m", "eyas"]
    child = subprocess.Popen([*python, *command, str(run)], stdout=subprocess.DEVNULL)
    while not (run / "state-earlier.safetensors").exists():
        assert child.poll() is None
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert_nothing_lost(run, began=True)
    subprocess.run([*python, "resume", str(run)], check=True, stdout=subprocess.DEVNULL)
    assert_equal_to_uncut(run, uncut)
    tally("SIGKILL of a command that was not forked")


@pytest.mark.parametrize("repeats", [1, pytest.param(20, marks=pytest.mark.torture)])
def test_a_killed_training_leaves_its_folder_free_though_it_had_workers(
    hatchery, command, uncut, tmp_path, repeats, tally
):
    """Only the training process dies, as by the out-of-memory killer: its workers must not hold the run."""
    for number in range(repeats):
        run = tmp_path / f"run{number}"
        trial = hatchery.start(*command, run, "--workers", "3", "--cache", "none")
        while not (run / "state.safetensors").exists():
            assert trial.poll() is None, trial.text
            time.sleep(0.002)
        time.sleep(0.05 * (number % 5))
        trial.send(signal.SIGKILL)
        trial.wait()
        again = hatchery.run("resume", run)
        assert again.code == 0, again.text
        assert_equal_to_uncut(run, uncut)
    tally("SIGKILL of the training process alone, its workers left", repeats)
