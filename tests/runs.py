"""Runs that tests make and compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from eyas.config import RunConfig, make_config
from eyas.events import EpochOver, EpochTrained, Evaluated, Event, Finished, Progress, Saved, Started
from eyas.plan import make_plan
from eyas.tensorfile import read_tensors
from eyas.training.loop import fit
from eyas.training.runtime import open_runtime

QUICK = {"model": "compact", "size": 16, "epochs": 3, "batch_size": 16, "log_every": 1, "device": "cpu", "lr": 0.05}


def config_of(pictures: dict[str, str], **given: Any) -> RunConfig:
    """Return the settings of a quick run on the pictures, all steps logged."""
    return make_config({**QUICK, "train": pictures["train"], "test": pictures["test"], **given})


def run_fit(
    config: RunConfig, directory: Path, *, stop_at: Callable[[Event], bool] | None = None, resuming: bool = False
) -> list[Event]:
    """Return all events of a run in `directory`, told to stop at the first event that `stop_at` says yes to.

    The run may not warn at its start: where batch normalisation sees very few values, numbers are chance.
    """
    directory.mkdir(exist_ok=True)
    events: list[Event] = []
    with open_runtime(config.device) as runtime:
        for event in fit(make_plan(config, directory, resuming=resuming), runtime):
            events.append(event)
            if isinstance(event, Started):
                assert "warning" not in dict(event.facts), event.facts
            if stop_at is not None and stop_at(event):
                runtime.stop_requested = True
    return events


def saved_state(directory: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors and the plain data of a run's saved state, without what a clock gave."""
    tensors, header = read_tensors(directory / "state.safetensors", "state")
    plain = {name: value for name, value in header["state"].items() if name not in ("seconds", "waited")}
    return tensors, plain


def assert_same_run(one: Path, other: Path) -> None:
    """Two run folders hold the same weights, optimiser state, best and models, bit by bit."""
    (tensors, plain), (others, other_plain) = saved_state(one), saved_state(other)
    assert plain == other_plain
    assert tensors.keys() == others.keys()
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)
    models = sorted(path.relative_to(one) for path in one.glob("**/*.safetensors") if not path.name.startswith(("state", "samples")))
    assert models, "a run leaves models"
    for model in models:
        assert (one / model).read_bytes() == (other / model).read_bytes(), model


def timeless(events: list[Event]) -> list[Any]:
    """Return the events as values to compare: without times, paths and what depends on where a run was cut."""
    kept = []
    for event in events:
        if isinstance(event, (Started, Progress, Saved)) or (
            isinstance(event, Finished) and event.reason == "interrupted"
        ):
            continue
        if isinstance(event, EpochTrained):
            kept.append(replace(event, seconds=0, images_per_second=0, waiting=0))
        elif isinstance(event, Evaluated):
            kept.append(
                (event.epoch, event.split, event.scores.confusion.tolist(), event.scores.loss_sum, event.improved)
            )
        elif isinstance(event, Finished):
            kept.append(replace(event, seconds=0))
        elif isinstance(event, EpochOver):
            kept.append(replace(event, seconds=0, saving=0))
        else:
            kept.append(event)
    return kept
