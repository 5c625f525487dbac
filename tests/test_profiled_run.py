"""`--profile` on real runs: the table, the trace, and that nothing else changes."""

from __future__ import annotations

import gzip
import json
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import eyas
from eyas.errors import TrainingError
from eyas.events import EpochOver, EpochTrained, Evaluated, Saved
from eyas.plan import make_plan
from eyas.sinks.jsonl import read_events
from tests.runs import QUICK, assert_same_run, config_of, run_fit
from tests.test_run import when_training

SETTINGS = {**QUICK, "epochs": 2, "view": "none"}
EVERY_EPOCH = {"step", "waiting for data", "test pass", "saving", "logging"}


def train(pictures: dict[str, str], out: Path, **given: Any) -> eyas.Run:
    return eyas.train(pictures["train"], **{**SETTINGS, "test": pictures["test"], "out": out, **given})


@pytest.fixture(scope="module")
def profiled(pictures, tmp_path_factory) -> Path:
    """A run that decodes anew for every batch, with `--profile`."""
    return train(pictures, tmp_path_factory.mktemp("profiled") / "run", profile=True, cache="none").directory


def trace_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(gzip.decompress((run / "profile.json.gz").read_bytes()))
    return content


def spans_of(run: Path) -> list[dict[str, Any]]:
    return [event for event in trace_of(run)["traceEvents"] if event["ph"] == "X"]


def tables_of(run: Path) -> list[dict[str, Any]]:
    return [record for record in read_events(run / "events.jsonl") if record["event"] == "profiled"]


def here(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of the training thread."""
    return [share for share in table["shares"] if share["threads"] == 0]


def test_what_other_threads_do_beside_the_training_has_lines_of_its_own(profiled):
    beside = {share["name"]: share for share in tables_of(profiled)[-1]["shares"] if share["threads"]}
    assert set(beside) == {"decode", "writing to the disk"}
    assert beside["decode"]["count"] == 2 * (56 + 21)


def test_there_is_a_table_for_every_epoch_and_one_for_the_run(profiled):
    assert [table["epoch"] for table in tables_of(profiled)] == [1, 2, None]
    for table in tables_of(profiled):
        names = {share["name"] for share in here(table) if share["depth"] == 0}
        assert names == EVERY_EPOCH | (set() if table["epoch"] else {"preparing", "preflight"})
    inner = {share["name"] for share in here(tables_of(profiled)[0]) if share["depth"] == 1}
    assert inner >= {"transfer", "resize", "augmentation", "normalise", "forward", "backward", "optimiser"}


def test_the_shares_of_the_time_add_up_with_little_left_unsaid(profiled, pictures, tmp_path, monkeypatch):
    # on a busy machine a thread may have to wait anywhere: so by a clock that stands still meanwhile
    monkeypatch.setattr(time, "perf_counter_ns", time.thread_time_ns)
    alone = train(pictures, tmp_path / "run", profile=True, cache="none").directory
    for run, least in ((profiled, 0.0), (alone, 0.8)):
        for table in tables_of(run):
            told = sum(share["seconds"] for share in here(table) if share["depth"] == 0)
            assert least * table["seconds"] <= told <= table["seconds"]
    steps = [share["count"] for table in tables_of(profiled) for share in table["shares"] if share["name"] == "step"]
    assert steps == [4, 4, 8]


def test_the_trace_has_the_form_that_viewers_read(profiled):
    trace = trace_of(profiled)
    assert trace["displayTimeUnit"] == "ms"
    for event in trace["traceEvents"]:
        assert event["ph"] in ("X", "M") and isinstance(event["pid"], int) and isinstance(event["tid"], int)
        assert event["ph"] == "M" or (event["ts"] >= 0 and event["dur"] >= 0)
    tracks = {event["tid"] for event in trace["traceEvents"] if event["name"] == "thread_name"}
    assert {span["tid"] for span in spans_of(profiled)} <= tracks
    numbers = [(span["args"]["step"], span["args"]["epoch"]) for span in spans_of(profiled) if span["name"] == "step"]
    assert numbers == [(step, (step - 1) // 4 + 1) for step in range(1, 9)]


def test_spans_of_one_thread_lie_in_each_other_or_apart(profiled):
    tracks: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for span in spans_of(profiled):
        began = round(1000 * span["ts"])
        tracks[span["tid"]].append((began, began + round(1000 * span["dur"])))
    for spans in tracks.values():
        ends: list[int] = []
        for began, ended in sorted(spans, key=lambda span: (span[0], -span[1])):
            while ends and ends[-1] <= began:
                ends.pop()
            assert not ends or ended <= ends[-1]
            ends.append(ended)


def test_the_trace_and_the_table_tell_the_same_times(profiled):
    traced: dict[str, float] = defaultdict(float)
    for span in spans_of(profiled):
        traced[span["name"]] += span["dur"] / 1e6
    told: dict[str, float] = defaultdict(float)
    for share in tables_of(profiled)[-1]["shares"]:
        told[share["name"]] += share["seconds"]
    for name in ("step", "forward", "backward", "optimiser", "decode", "augmentation", "test pass", "saving"):
        assert traced[name] == pytest.approx(told[name], abs=1e-6), name


def test_it_changes_no_result(profiled, pictures, tmp_path):
    assert_same_run(profiled, train(pictures, tmp_path / "run", cache="none").directory)


def test_without_it_nothing_is_measured_but_how_long_an_epoch_took(pictures, tmp_path):
    run = train(pictures, tmp_path / "run").directory
    assert not (run / "profile.json.gz").exists() and tables_of(run) == []
    over = [record for record in read_events(run / "events.jsonl") if record["event"] == "epochover"]
    assert [(record["step"], record["epoch"]) for record in over] == [(4, 1), (8, 2)]


def test_an_epoch_takes_its_training_its_evaluation_and_its_saving_also_within(pictures, tmp_path):
    events = run_fit(config_of(pictures, epochs=2, save_minutes=1e-9), tmp_path / "run")
    for number in (1, 2):
        (trained,) = [e for e in events if isinstance(e, EpochTrained) and e.epoch == number]
        (over,) = [e for e in events if isinstance(e, EpochOver) and e.epoch == number]
        saving = [e.seconds for e in events if isinstance(e, Saved) and over.step - 4 < e.step <= over.step]
        testing = [e.seconds for e in events if isinstance(e, Evaluated) and e.step == over.step]
        others = trained.seconds + sum(testing)
        assert len(saving) >= 5 and sum(saving) <= over.saving <= over.seconds - others + 1e-9
    assert sum(event.seconds for event in events if isinstance(event, EpochOver)) <= events[-1].seconds + 1e-9


def test_an_epoch_whose_evaluation_is_broken_off_is_over_once_after_the_resume(pictures, tmp_path):
    config = config_of(pictures, epochs=2)
    cut = run_fit(config, tmp_path / "run", stop_at=lambda event: isinstance(event, EpochTrained) and event.epoch == 1)
    assert not [event for event in cut if isinstance(event, EpochOver)]
    rest = run_fit(config, tmp_path / "run", resuming=True)
    assert [event.epoch for event in rest if isinstance(event, EpochOver)] == [1, 2]


def test_an_interrupted_run_leaves_its_trace_and_its_table(pictures, tmp_path):
    watching = when_training(tmp_path / "run", signal.SIGINT)
    run = train(pictures, tmp_path / "run", profile=True, epochs=500)
    watching.join()
    assert run.finished.reason == "interrupted" and tables_of(run.directory)[-1]["epoch"] is None
    assert [span["name"] for span in spans_of(run.directory)].count("step") == run.finished.step


def test_a_resumed_run_goes_on_measuring_in_a_trace_of_its_own(pictures, tmp_path):
    run = train(pictures, tmp_path / "run", profile=True, epochs=1).directory
    assert eyas.resume(run, epochs=2) is not None
    assert [table["epoch"] for table in tables_of(run)] == [1, None, 2, None]
    assert [span["args"]["step"] for span in spans_of(run) if span["name"] == "step"] == [5, 6, 7, 8]


def test_a_run_that_fails_leaves_its_trace(pictures, tmp_path):
    with pytest.raises(TrainingError, match="loss is"):
        train(pictures, tmp_path / "run", profile=True, lr=1e30)
    assert [span["name"] for span in spans_of(tmp_path / "run")].count("step") >= 1


@pytest.mark.parametrize(
    ("given", "told", "untold"),
    [
        ({}, ["--profile"], ["decoded", "image by image"]),
        ({"cache": "none"}, ["decoded anew", "--cache auto"], ["image by image", "--profile"]),
        ({"transform": "torch:clone"}, ["image by image", "--workers"], ["decoded", "--profile"]),
        ({"transform": "torch:clone", "cache": "none"}, ["decoded anew", "image by image", "--profile"], []),
        ({"cache": "disk", "cache_gb": 1e-9}, ["--cache-gb is above 1e-09"], ["--profile"]),
    ],
)
def test_what_a_run_would_wait_for_is_known_before_it_begins(pictures, tmp_path, given, told, untold):
    waits_for = make_plan(config_of(pictures, **given), tmp_path / "run").waits_for
    assert [words for words in told if words not in waits_for] == []
    assert [words for words in untold if words in waits_for] == []
