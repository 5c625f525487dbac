"""What a run left behind, without what a clock gave: to compare a run that was cut with one that was not."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from tests.runs import assert_same_run

from eyas.files.atomic import PREDICTIONS, TEMPORARY
from eyas.files.tensors import read_tensors
from eyas.model.classifier import Classifier
from eyas.sinks.jsonl import read_events
from eyas.training.checkpoint import STATE, newest_state
from eyas.training.fingerprint import SAMPLES

ONCE = ("trained", "epochtrained", "evaluated")  # each of them has each step once, however often a run was cut
CLOCK = {"time", "seconds", "images_per_second", "waiting"}


def events_of(run: Path) -> list[dict[str, Any]]:
    """Return the measurements in `events.jsonl`, oldest first."""
    return [
        {name: value for name, value in record.items() if name not in CLOCK}
        for record in read_events(run / "events.jsonl")
        if record["event"] in ONCE
    ]


def rows_of(run: Path) -> list[dict[str, str]]:
    """Return the rows of `metrics.csv`."""
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return [{name: value for name, value in row.items() if name not in CLOCK} for row in csv.DictReader(file)]


def curves_of(run: Path) -> list[tuple[str, int, float]]:
    """Return every number in TensorBoard's files as (tag, step, value), in order of tag and step."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found = []
    for path in sorted((run / "tensorboard").iterdir()):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                numbers = value.tensor.float_val
                if len(numbers) == 1 and not value.tag.startswith("time/"):
                    found.append((value.tag, event.step, numbers[0]))
    return sorted(found)


def assert_equal_to_uncut(run: Path, uncut: Path) -> None:
    """Weights, optimiser, best, counters, models and records are those of a run that was never cut, bit by bit."""
    assert_same_run(run, uncut)
    assert {path.name for path in (run / "epochs").iterdir()} == {path.name for path in (uncut / "epochs").iterdir()}
    assert events_of(run) == events_of(uncut)
    assert rows_of(run) == rows_of(uncut)
    assert curves_of(run) == curves_of(uncut)
    assert left_over(run) == []


def left_over(folder: Path) -> list[str]:
    """Return temporary files, of eyas and of the libraries that it writes by."""
    return sorted(path.name for path in folder.rglob(".tmp*"))


def assert_nothing_lost(run: Path, *, began: bool) -> int:
    """Every file of a run that a name promises is whole; return the step of its newest state, 0 without one.

    `began` says that there was a state before: then there is one still.
    """
    found = newest_state(run)
    assert found is not None or not began, "the state is gone"
    assert found is None or found[2] == (), "a state is damaged"
    for path in run.rglob("*.safetensors"):
        if path.name in (PREDICTIONS, SAMPLES):
            read_tensors(path, path.stem)
        elif not path.name.startswith((STATE.split(".")[0], TEMPORARY)):
            Classifier.load(path)  # verifies what it reads
    return 0 if found is None else found[1]["state"]["step"]
