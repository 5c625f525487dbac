"""Saving beside the training: what is written, when it is told, and what happens where it fails."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.runs import assert_same_run, config_of, run_fit
from tests.training.test_checkpoint import full_disk

from eyas.device.runtime import open_runtime
from eyas.errors import FileError, TrainingError
from eyas.files.atomic import TEMPORARY
from eyas.files.tensors import read_tensors
from eyas.sinks.jsonl import read_events
from eyas.training.checkpoint import EARLIER, STATE, EpochDone, newest_state
from eyas.training.events import EpochTrained, Event, Finished, Saved
from eyas.training.loop import fit
from eyas.training.planning import make_plan
from eyas.training.saving import Saver
from eyas.training.state import TrainState

WIDE = {"model": "resnet18", "size": 32, "momentum": 0.9}  # 45 MB: writing it takes longer than changing it


@contextlib.contextmanager
def saver_of(pictures: dict[str, str], directory: Path, **given) -> Iterator[tuple[TrainState, Saver]]:
    """Yield a fresh state and the saver of a run in `directory`."""
    directory.mkdir()
    config = config_of(pictures, **given)
    with open_runtime(config.device) as runtime:
        plan = make_plan(config, directory)
        with Saver(plan, runtime) as saver:
            yield TrainState.fresh(plan, runtime), saver


def weights_of(state: TrainState) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in state.model.state_dict().items()}


def double(state: TrainState) -> None:
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.mul_(2)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_what_is_written_are_the_values_at_the_call_though_training_goes_on(pictures, tmp_path, ema):
    with saver_of(pictures, tmp_path / "run", **WIDE, ema=ema) as (state, saver):
        state.epochs_done = 1
        before, average = weights_of(state), {name: value.clone() for name, value in state.average.tensors().items()}
        assert list(saver.save(state, EpochDone({}, improved=True))) == []
        for _ in range(3):
            double(state)
            state.average.update(state.model)
        state.step = 99
        assert [event.kind for event in saver.wait()] == ["epoch", "best", "state"]
    tensors, header = read_tensors(tmp_path / "run" / STATE, "state")
    assert header["state"]["step"] == 0
    for name, value in before.items():
        assert torch.equal(tensors[f"model/{name}"], value), name
    for path in ("epochs/epoch-001.safetensors", "last.safetensors", "best.safetensors"):
        model, _ = read_tensors(tmp_path / "run" / path, "model")
        expected = average if ema else before
        assert model.keys() == expected.keys()
        assert all(torch.equal(model[name], expected[name]) for name in expected), path


def test_a_save_waits_for_the_one_before_and_tells_what_became_of_it(pictures, tmp_path):
    with saver_of(pictures, tmp_path / "run", **WIDE) as (state, saver):
        told = []
        for step in range(4):
            state.step = step
            double(state)
            told.append([event.step for event in saver.save(state, None)])
            if step:  # the one before is whole, whatever the one in flight has come to
                steps = [read_tensors(path, "state")[1]["state"]["step"] for path in kept(tmp_path / "run")]
                assert step - 1 in steps
        assert told == [[], [0], [1], [2]]
        assert [event.step for event in saver.wait()] == [3]
        assert saver.wait() == ()
    assert read_tensors(tmp_path / "run" / EARLIER, "state")[1]["state"]["step"] == 2


def kept(run: Path) -> list[Path]:
    return [run / name for name in (STATE, EARLIER) if (run / name).exists()]


def test_an_event_has_the_seconds_that_the_training_paused(pictures, tmp_path, monkeypatch):
    """To wait for the save before is a pause: here of 100 seconds, by a clock that only the disk moves."""
    now, waits, flush = [0.0], threading.Event(), os.fsync

    def slow(file: int) -> None:
        waits.wait(60)
        now[0] = 100.0
        flush(file)

    def clock() -> float:
        waits.set()
        return now[0]

    with saver_of(pictures, tmp_path / "run") as (state, saver):
        monkeypatch.setattr(os, "fsync", slow)
        list(saver.save(state, None))
        monkeypatch.setattr(time, "perf_counter", clock)
        list(saver.save(state, EpochDone({}, improved=False)))
        events = saver.wait()
    assert [event.kind for event in events] == ["epoch", "state"]
    assert sum(event.seconds for event in events) == 100


def test_only_what_is_whole_on_the_disk_is_told(pictures, tmp_path):
    run, told = tmp_path / "run", []
    config = config_of(pictures, save_minutes=1e-6, keep=2)
    run.mkdir()
    with open_runtime(config.device) as runtime:
        for event in fit(make_plan(config, run), runtime):
            if not isinstance(event, Saved):
                continue
            _, header = read_tensors(event.path, "state" if event.kind == "state" else "model")
            # a later one may have taken its place meanwhile
            assert (header["state"] if event.kind == "state" else header["facts"])["step"] >= event.step
            told.append((event.step, event.kind))
    assert [step for step, kind in told if kind == "state"] == list(range(1, 13))
    assert [step for step, kind in told if kind == "epoch"] == [4, 8, 12]
    assert told == sorted(told, key=lambda one: one[0])


def test_all_that_was_saved_is_told_before_the_run_is_finished(pictures, tmp_path):
    events = run_fit(config_of(pictures, epochs=1), tmp_path / "run")
    assert isinstance(events[-1], Finished)
    assert [event.kind for event in events if isinstance(event, Saved)] == ["epoch", "best", "state"]


def test_numbers_that_are_not_finite_are_refused_before_any_file_is_touched(pictures, tmp_path):
    run = tmp_path / "run"
    with saver_of(pictures, run) as (state, saver):
        list(saver.save(state, None))
        state.step, state.epochs_done = 4, 1
        with torch.no_grad():
            next(iter(state.model.parameters())).view(-1)[-1] = float("inf")
        assert [event.step for event in saver.save(state, EpochDone({}, improved=True))] == [0]
        with pytest.raises(TrainingError, match=r"step 4: model/\S+ holds numbers that are not finite"):
            saver.wait()
    assert [path.name for path in run.iterdir()] == [STATE]
    assert newest_state(run)[1]["state"]["step"] == 0


def test_the_order_of_channels_in_memory_does_not_change_a_file(pictures, tmp_path):
    for layout in (False, True):
        with saver_of(pictures, tmp_path / str(layout), channels_last=layout) as (state, saver):
            list(saver.save(state, EpochDone({}, improved=False)))
    one, other = ((tmp_path / layout / "last.safetensors").read_bytes() for layout in ("False", "True"))
    assert one == other


# Where the disk fails.


def test_a_last_save_that_fails_is_an_error_and_no_finished_run(pictures, tmp_path):
    run, events = tmp_path / "run", []
    with contextlib.ExitStack() as stack:

        def fill(event: Event) -> bool:
            events.append(event)
            if isinstance(event, EpochTrained) and event.epoch == 3:
                while newest_state(run)[1]["state"]["step"] < 8:  # the second epoch's save may still be under way
                    time.sleep(0.01)
                stack.enter_context(full_disk())
            return False

        with pytest.raises(FileError, match=r"epoch-003\.safetensors: cannot be written: "):
            run_fit(config_of(pictures), run, stop_at=fill)
    assert not any(isinstance(event, Finished) for event in events)
    assert newest_state(run)[1]["state"]["step"] == 8
    assert not list(run.rglob(f"{TEMPORARY}*"))


def test_a_failure_is_raised_at_the_next_save_at_the_latest_and_the_state_before_stays(pictures, tmp_path):
    with saver_of(pictures, tmp_path / "run") as (state, saver):
        list(saver.save(state, None))
        saver.wait()
        with full_disk():
            state.step = 5
            list(saver.save(state, None))
            with pytest.raises(FileError, match=r"state\.safetensors: cannot be written: "):
                list(saver.save(state, None))
        assert newest_state(tmp_path / "run")[1]["state"]["step"] == 0
        state.step = 6
        list(saver.save(state, None))  # there is room again
        assert [event.step for event in saver.wait()] == [6]


# A whole command whose disk fills up, or whose files fail in other ways: tests/faults/test_operations.py.


# Where the training ends in another way.


def writing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("eyas-saving")]


def test_a_generator_that_is_closed_leaves_whole_files_and_no_thread(pictures, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    config = config_of(pictures, **WIDE, epochs=1, save_minutes=1e-6)
    with open_runtime(config.device) as runtime:
        events = fit(make_plan(config, run), runtime)
        for event in events:
            if isinstance(event, Saved):  # of step 1; step 2 is being written, unless the disk was the quicker one
                break
        assert writing_threads(), "the thread stays for the next save, whether one is being written or not"
        events.close()
    assert not writing_threads()
    assert not list(run.rglob(f"{TEMPORARY}*"))
    _, header, notes = newest_state(run)
    assert header["state"]["step"] in (1, 2)
    assert notes == ()
    config = config_of(pictures, **WIDE, epochs=1)
    run_fit(config, run, resuming=True)
    run_fit(config, tmp_path / "uncut")
    assert_same_run(run, tmp_path / "uncut")


def test_an_error_in_the_training_leaves_what_was_being_written_whole(pictures, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(ZeroDivisionError), saver_of(pictures, run, **WIDE) as (state, saver):
        list(saver.save(state, None))
        raise ZeroDivisionError
    assert not writing_threads()
    assert newest_state(run)[1]["state"]["step"] == 0


def test_a_stopped_command_has_everything_on_the_disk_when_it_ends(pictures, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "eyas", "train", pictures["train"], "--model", "resnet18", "--size", "32",
               "--epochs", "500", "--save-minutes", "0.0001", "--device", "cpu", "--view", "none"]  # fmt: skip
    child = subprocess.Popen([*command, "--out", str(run)])
    while child.poll() is None and not (run / STATE).exists():
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=120) == 75
    assert not list(run.rglob(f"{TEMPORARY}*"))
    saved, finished = read_events(run / "events.jsonl")[-2:]
    step = newest_state(run)[1]["state"]["step"]
    assert (saved["event"], saved["kind"], saved["step"]) == ("saved", "state", step)
    assert (finished["event"], finished["reason"], finished["step"]) == ("finished", "interrupted", step)
