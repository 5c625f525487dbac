"""SIGTERM and Ctrl-C in every phase of a run: it ends soon, is saved exactly, says how to go on, and goes on exactly."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from tests.faults.records import assert_equal_to_uncut, assert_nothing_lost, left_over
from tests.faults.trial import Hatchery, Trial

from eyas.sinks.jsonl import read_events

INTERRUPTED = 75
AT_ONCE = 130  # ended before anything was saved
BEFORE = (-signal.SIGTERM,)  # ended before it could hear: Python was still starting


def is_begun(run: Path) -> bool:
    return (run / "config.toml").exists()


def finish(hatchery: Hatchery, command: list[str], run: Path, uncut: Path) -> None:
    """Go on with a run, or begin it where nothing was begun, and compare it with one that was never stopped."""
    again = hatchery.run("resume", run) if is_begun(run) else hatchery.run(*command, run)
    assert again.code == 0, again.text
    assert_equal_to_uncut(run, uncut)


def assert_stopped_well(trial: Trial, run: Path) -> None:
    """A run that was told to stop while it trained is saved, with 75; one that was not begun left nothing."""
    assert "Traceback" not in trial.text, trial.text
    if trial.code == 0:
        return  # it had ended
    if not is_begun(run):
        assert trial.code in (AT_ONCE, *BEFORE), trial.text
        assert not run.exists(), "nothing half-made stays"
        return
    assert trial.code == INTERRUPTED, trial.text
    assert f"eyas resume {run}" in trial.text
    finished = read_events(run / "events.jsonl")[-1]
    assert (finished["event"], finished["reason"]) == ("finished", "interrupted")
    assert assert_nothing_lost(run, began=finished["step"] > 0) == finished["step"]
    assert left_over(run) == []


@pytest.mark.parametrize("tries", [3, pytest.param(60, marks=pytest.mark.torture)])
def test_a_run_told_to_stop_at_any_moment_is_saved_and_goes_on_exactly(
    hatchery, command, uncut, tmp_path, tries, tally
):
    random = np.random.default_rng(tries)
    for number in range(tries):
        run, workers = tmp_path / f"run{number}", ("--workers", random.integers(4), "--cache", "none")
        trial = hatchery.start(*command, run, *workers)
        time.sleep(random.uniform(0, 1.0))
        trial.send(random.choice([signal.SIGINT, signal.SIGTERM]), group=bool(random.integers(2)))
        trial.wait()
        assert_stopped_well(trial, run)
        if is_begun(run) and trial.code and number % 2:  # and told so once more, while it goes on
            trial = hatchery.start("resume", run)
            time.sleep(random.uniform(0, 0.6))
            trial.send(signal.SIGTERM)
            trial.wait()
            if trial.code not in (AT_ONCE, *BEFORE):  # on a busy machine it may not have begun; then all is as it was
                assert_stopped_well(trial, run)
        finish(hatchery, command, run, uncut)
    tally("SIGINT, SIGTERM at a random moment, to the process or its group", tries)


PHASES = ["before the first step", "in the middle of an epoch", "while it evaluates", "while it saves"]
BOTH = (signal.SIGINT, signal.SIGTERM)
IN_PHASES = [
    pytest.param(phase, number, marks=[] if (place + number) % 2 else pytest.mark.torture)
    for place, phase in enumerate(PHASES)
    for number in BOTH
]


@pytest.mark.parametrize(("phase", "number"), IN_PHASES)
def test_a_run_told_to_stop_in_a_named_phase_is_saved_and_goes_on_exactly(
    hatchery, command, uncut, tmp_path, phase, number, tally
):
    """The signal is sent by the run to itself, at the operation that marks the phase."""
    run = tmp_path / "run"
    trial = hatchery.run("--phase", phase, number.value, *command, run, call="tests.faults.phases:main_stopped_at")
    assert trial.code == INTERRUPTED, trial.text
    assert_stopped_well(trial, run)
    finish(hatchery, command, run, uncut)
    tally(f"SIGINT, SIGTERM {phase}")


@pytest.mark.parametrize("tries", [2, pytest.param(20, marks=pytest.mark.torture)])
def test_a_second_signal_ends_a_run_at_once_and_nothing_saved_is_lost(hatchery, command, uncut, tmp_path, tries, tally):
    for number in range(tries):
        run = tmp_path / f"run{number}"
        trial = hatchery.start(*command, run)
        while not (run / "state.safetensors").exists():
            assert trial.poll() is None, trial.text
            time.sleep(0.001)
        time.sleep(0.05 * (number % 10))
        for _ in range(2):
            trial.send(signal.SIGTERM if number % 2 else signal.SIGINT)
        trial.wait(60)
        # the two may have become one, or have come in the last step: then the run is complete
        assert trial.code in (AT_ONCE, INTERRUPTED, 0), trial.text
        assert "Traceback" not in trial.text, trial.text
        assert_nothing_lost(run, began=True)
        finish(hatchery, command, run, uncut)
        tally("a second signal at once")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.torture)])
def test_a_run_stopped_while_it_loads_its_images_leaves_nothing_or_goes_on(
    hatchery, command, uncut, tmp_path, number, tally
):
    run = tmp_path / "run"
    slow = ("--phase", "while it loads", number.value)
    trial = hatchery.run(*slow, *command, run, call="tests.faults.phases:main_stopped_at")
    assert trial.code == AT_ONCE, trial.text
    assert not run.exists()
    assert hatchery.run(*slow, *command, run, call="tests.faults.phases:main_stopped_at").code == AT_ONCE
    half = hatchery.run("--phase", "in the middle of an epoch", number.value, *command, run,
                        call="tests.faults.phases:main_stopped_at")  # fmt: skip
    assert half.code == INTERRUPTED, half.text
    again = hatchery.run(*slow, "resume", run, call="tests.faults.phases:main_stopped_at")
    assert again.code == INTERRUPTED, again.text  # may be put into the queue again
    assert f"eyas resume {run}" in again.told
    finish(hatchery, command, run, uncut)
    tally("SIGINT, SIGTERM while it loads", 4)
