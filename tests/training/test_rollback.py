"""Faults of the arithmetic: what is said of them, and going back to an earlier state with something changed."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from tests.runs import QUICK, assert_same_run, config_of, run_fit, saved_state
from torch import nn

import eyas
from eyas.errors import DivergedError, OutOfMemoryError
from eyas.plan import make_plan
from eyas.run import resume
from eyas.sinks.jsonl import read_events
from eyas.tensorfile import read_tensors, write_tensors
from eyas.training.checkpoint import STATE
from eyas.training.finite import check_window
from eyas.training.loop import train_batches
from eyas.training.rollback import go_back
from eyas.training.runtime import open_runtime
from eyas.training.state import TrainState
from eyas.training.step import train_step

register_model = pytest.importorskip("timm.models").register_model  # the only way to a network of one's own by a name


class Runaway(nn.Module):
    """Has a number that weight decay alone changes: beyond float32 at the same step on every machine, or never.

    A real network that diverges does so by the last bits of every step before.
    """

    def __init__(self, num_classes: int = 10, **_: object) -> None:
        super().__init__()
        self.fc = nn.Linear(1, num_classes)
        self.fc.weight.requires_grad_(False)
        self.number = nn.Parameter(torch.full((1, 1), 2e33))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(images.mean((1, 2, 3))[:, None]) + 0 * self.number


@register_model
def runaway_net(pretrained: bool = False, **given: Any) -> nn.Module:
    return Runaway(**given)


# times -9 in each step: step 6 of 12 makes it infinite; with half the rate from step 4 on, times -4, step 6 does again;
# with a quarter of it from the beginning, times -1.5, it stays finite
TOO_QUICK = {"model": "timm/runaway_net", "lr": 1.0, "weight_decay": 10.0, "report": "none", "view": "none"}
EXPLODES = {**TOO_QUICK, "weight_decay": 1e12}
ROLLBACK = {**QUICK, **TOO_QUICK, "on_nan": "rollback"}


def test_a_loss_that_is_not_finite_names_the_step_the_rate_and_the_files(pictures, tmp_path):
    with pytest.raises(DivergedError) as fault:
        run_fit(config_of(pictures, **EXPLODES), tmp_path / "run")
    words = str(fault.value)
    assert words.startswith("step 2: the training loss is nan (epoch 1, learning rate 1), of all 16 images ")
    assert "(the weights were not finite before it: step 1 made them so)" in words
    named = re.findall(r"list\.txt:\d+: \w+/\d+\.png", words)
    assert len(named) == 3 and "and 13 more" in words
    assert "--on-nan rollback" in words and "lower --lr" in words


def test_no_weight_learns_from_a_loss_that_is_not_finite(pictures, tmp_path):
    plan = make_plan(config_of(pictures), tmp_path)
    with open_runtime(plan.config.device) as runtime:
        state = TrainState.fresh(plan, runtime)
        with torch.no_grad():
            last = list(state.model.parameters())[-1]
            last.fill_(float("inf"))
        before = {name: tensor.clone() for name, tensor in state.model.named_parameters()}
        with pytest.raises(DivergedError, match=r"^step 1: "):
            train_step(state, state.model, next(train_batches(plan, runtime, start=0)), plan, runtime)
        assert state.step == 0
        assert all(torch.equal(tensor, before[name]) for name, tensor in state.model.named_parameters())


@pytest.mark.parametrize("bad", [1, 2, 3])
def test_where_nobody_looks_at_every_step_the_first_bad_one_is_found_by_its_record(pictures, tmp_path, bad):
    """As on a GPU, whose numbers are read when a record is due; here on the CPU."""
    plan = make_plan(config_of(pictures, log_every=500), tmp_path)
    with open_runtime(plan.config.device) as runtime:
        state = TrainState.fresh(plan, runtime)
        for step, batch in zip(range(4), train_batches(plan, runtime, start=0), strict=False):
            train_step(state, state.model, batch, plan, runtime)
            if step == 0:
                state.window.values.zero_()  # the first step has a record of its own
            if step == bad:
                state.window.values[0] = float("nan")
                state.window.values[3] -= 1
        loss, finite = state.window.means()[0], state.window.values[3].item()
        with pytest.raises(DivergedError, match=rf"^step {bad + 1}: the training loss is nan") as fault:
            check_window(loss, finite, state, plan, runtime)
        assert plan.train.images.place(int(plan.order.batch(bad)[0])) in str(fault.value)


def test_a_run_that_diverges_goes_back_and_on_with_half_the_rate_until_it_can(pictures, tmp_path):
    run = eyas.train(pictures["train"], **ROLLBACK, test=pictures["test"], out=tmp_path / "run")
    assert (run.finished.epoch, run.finished.reason) == (3, "complete")
    events = read_events(run.directory / "events.jsonl")
    rates = {event["step"]: event["lr"] for event in events if event["event"] == "trained"}
    assert set(rates.values()) == {0.25}
    assert [event["step"] for event in events if event["event"] == "trained"] == list(range(1, 13))
    assert [row["epoch"] for row in run.history] == ["1", "2", "3"]
    notes = [event["message"] for event in events if event["event"] == "noted"]
    assert any(note.startswith("Went back to the state after step 4: step 7: ") for note in notes)
    assert any(note.startswith("Went back to the state after step 0: step 7: ") for note in notes)
    assert "The learning rate is 0.25 of the schedule's since then." in notes


def test_a_run_that_went_back_is_repeated_to_the_bit_also_when_it_is_cut(pictures, tmp_path):
    given = {**ROLLBACK, **pictures}
    for name in ("one", "other"):
        eyas.train(**given, out=tmp_path / name)
    assert_same_run(tmp_path / "one", tmp_path / "other")
    assert len(saved_state(tmp_path / "one")[1]["diverged"]) == 2
    cut = eyas.train(**{**given, "epochs": 2}, out=tmp_path / "cut")
    assert cut.finished.epoch == 2
    resume(tmp_path / "cut", epochs=3)
    assert_same_run(tmp_path / "one", tmp_path / "cut")


def test_what_diverges_however_small_the_rate_becomes_stops_after_five_times(pictures, tmp_path):
    given = {**QUICK, **EXPLODES, "test": pictures["test"], "on_nan": "rollback"}
    with pytest.raises(DivergedError, match=r"^step 2: "):
        eyas.train(pictures["train"], **given, out=tmp_path / "run")
    assert len(saved_state(tmp_path / "run")[1]["diverged"]) == 5
    for path in (tmp_path / "run").rglob("*.safetensors"):
        kind = path.stem if path.stem in ("state", "samples") else "state" if path.name.startswith("state") else "model"
        assert all(tensor.isfinite().all() for tensor in read_tensors(path, kind)[0].values())


def test_a_run_that_stopped_for_it_goes_on_where_a_resume_says_rollback(pictures, tmp_path):
    given = {**ROLLBACK, **pictures}
    with pytest.raises(DivergedError):
        eyas.train(**{**given, "on_nan": "stop"}, out=tmp_path / "run")
    run = resume(tmp_path / "run", on_nan="rollback")
    assert run is not None
    assert run.finished.reason == "complete"
    assert 'on_nan = "rollback"' in (tmp_path / "run" / "config.toml").read_text()
    eyas.train(**given, out=tmp_path / "at once")
    assert_same_run(tmp_path / "run", tmp_path / "at once")


class Hungry(nn.Module):
    """Needs a petabyte to train on more than 12 images at once: what torch's allocator then says is its own."""

    def __init__(self, num_classes: int = 10, **_: object) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * 16 * 16, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and len(images) > 12:
            torch.empty(10**15, dtype=torch.uint8)
        return self.fc(images.flatten(1))


@register_model
def hungry_net(pretrained: bool = False, **given: Any) -> nn.Module:
    return Hungry(**given)


HUNGRY = {**QUICK, "model": "timm/hungry_net", "batch_size": 48, "epochs": 2, "lr": 0.01}


def test_where_memory_runs_out_a_batch_is_computed_in_parts_with_the_same_result(pictures, tmp_path):
    run = eyas.train(pictures["train"], test=pictures["test"], **HUNGRY, out=tmp_path / "run")
    assert run.finished.reason == "complete"
    tensors, plain = saved_state(tmp_path / "run")
    assert len(plain["short_of_memory"]) == 2  # 48, then 24, then 12 images at once
    notes = [event for event in read_events(tmp_path / "run" / "events.jsonl") if event["event"] == "noted"]
    assert "The memory ran out" in notes[-1]["message"]
    assert "now computed in 4 parts" in notes[-1]["message"]
    eyas.train(pictures["train"], test=pictures["test"], **HUNGRY, accumulate=4, out=tmp_path / "asked")
    asked, _ = saved_state(tmp_path / "asked")
    assert all(torch.equal(tensors[name], asked[name]) for name in asked)


def test_where_not_even_two_images_have_room_the_run_stops_in_words(pictures, tmp_path):
    given = {**HUNGRY, "batch_size": 13}
    eyas.train(pictures["train"], test=pictures["test"], **given, out=tmp_path / "run")
    with pytest.raises(OutOfMemoryError, match="smaller --batch-size") as fault:
        eyas.train(
            pictures["train"], test=pictures["test"], **{**HUNGRY, "model": "timm/starving_net"}, out=tmp_path / "x"
        )
    assert "\n" not in str(fault.value)


@register_model
def starving_net(pretrained: bool = False, **given: Any) -> nn.Module:
    return Starving(**given)


class Starving(Hungry):
    """Has room for the two images of the preflight once, and never again."""

    def __init__(self, num_classes: int = 10, **given: object) -> None:
        super().__init__(num_classes, **given)
        self.seen = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += self.training
        return super().forward(images if self.seen < 2 else images.repeat(13, 1, 1, 1))


@pytest.mark.parametrize("best", [2, 3])
def test_a_run_does_not_go_back_behind_its_best_epoch_whose_file_would_stay(pictures, tmp_path, best):
    config = config_of(pictures, on_nan="rollback")
    run_fit(config, tmp_path / "run")
    with open_runtime(config.device) as runtime:
        plan = make_plan(config, tmp_path / "run", resuming=True)
        tensors, header = read_tensors(tmp_path / "run" / STATE, "state")
        header["state"]["selection"]["epoch"] = best
        header["state"]["short_of_memory"] = ["said"]
        about = {name: value for name, value in header.items() if name not in ("format", "kind")}
        write_tensors(tmp_path / "run" / STATE, "state", tensors, about)
        fault = DivergedError("step 13: it did. And so on.")
        go_back(plan, runtime, fault)
        assert saved_state(tmp_path / "run")[1]["step"] == 12
        if best == 3:  # its file is of a course that the state before it has not taken yet
            with pytest.raises(DivergedError):
                go_back(plan, runtime, fault)
            return
        go_back(plan, runtime, fault)
        plain = saved_state(tmp_path / "run")[1]
        assert (plain["step"], len(plain["diverged"]), plain["short_of_memory"]) == (8, 2, ["said"])
