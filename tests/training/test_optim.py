"""Optimisers and the course of the learning rate."""

from __future__ import annotations

from math import cos, pi
from typing import get_args

import pytest
import torch
from torch import nn

from eyas.config.training import OptimConfig, ScheduleConfig
from eyas.errors import SettingsError
from eyas.model.zoo import build, head_of
from eyas.training.optim import LearningRate, make_optimizer, set_learning_rate

OPTIMIZERS = get_args(OptimConfig.model_fields["optimizer"].annotation)
SCHEDULES = get_args(ScheduleConfig.model_fields["schedule"].annotation)


def rate_of(total: int = 100, per_epoch: int = 10, peak: float = 2.0, **settings: object) -> LearningRate:
    return LearningRate(peak, ScheduleConfig(**settings), per_epoch, total)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_lowers_a_loss(name):
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    head = ("weight", "bias") if name == "muon" else ()  # Muon itself keeps the norm of a filter
    optimizer = make_optimizer(model, head, OptimConfig(optimizer=name, lr=0.05, weight_decay=0.001))
    inputs, targets = torch.randn(64, 4), torch.randn(64, 1)
    losses = []
    for _ in range(30):
        set_learning_rate(optimizer, 0.05)
        loss = (model(inputs) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", ["sgd", "rmsprop"])
def test_momentum_reaches_the_optimisers_that_have_it(name):
    optimizer = make_optimizer(nn.Linear(1, 1), (), OptimConfig(optimizer=name, momentum=0.8))
    assert all(group["momentum"] == 0.8 for group in optimizer.param_groups)


def test_nesterov_reaches_sgd_and_needs_momentum():
    optimizer = make_optimizer(nn.Linear(1, 1), (), OptimConfig(nesterov=True, momentum=0.8))
    assert optimizer.param_groups[0]["nesterov"]
    with pytest.raises(SettingsError, match=r"--nesterov.*--momentum"):
        OptimConfig(nesterov=True)


def test_weight_decay_leaves_vectors_out():
    model = build("compact", 3)
    optimizer = make_optimizer(model, head_of(model), OptimConfig(weight_decay=0.1))
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] == 0.1 for p in group["params"]}
    spared = {id(p) for group in optimizer.param_groups if group["weight_decay"] == 0.0 for p in group["params"]}
    assert decayed == {id(p) for p in model.parameters() if p.ndim > 1}
    assert spared == {id(p) for p in model.parameters() if p.ndim <= 1}


def test_the_backbone_learns_at_its_share_of_the_rate():
    model = build("compact", 3)
    optimizer = make_optimizer(model, head_of(model), OptimConfig(backbone_lr=0.1))
    set_learning_rate(optimizer, 0.5)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rates[id(p)] for name, p in model.named_parameters() if name.startswith("fc.")} == {0.5}
    assert {rates[id(p)] for name, p in model.named_parameters() if not name.startswith("fc.")} == {0.5 * 0.1}


def test_every_parameter_is_trained_once():
    model = build("compact", 3)
    optimizer = make_optimizer(model, head_of(model), OptimConfig(backbone_lr=0.1, weight_decay=0.1))
    trained = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(trained) == sorted(id(p) for p in model.parameters())


def test_a_rate_is_set_and_never_read():
    optimizer = make_optimizer(nn.Linear(1, 1), (), OptimConfig(lr=0.3))
    for group in optimizer.param_groups:
        group["lr"] = 1e9  # whatever was there
    set_learning_rate(optimizer, 0.2)
    set_learning_rate(optimizer, 0.2)
    assert {group["lr"] for group in optimizer.param_groups} == {0.2}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_rate_stays_between_nothing_and_its_peak(schedule):
    for warmup in (0.0, 1.5):
        rate = rate_of(schedule=schedule, warmup_epochs=warmup, step_epochs=3)
        assert all(0 < rate(step) <= 2.0 for step in range(100))
        assert max(map(rate, range(100))) == 2.0


def test_a_constant_rate_is_constant():
    assert {rate_of()(step) for step in range(100)} == {2.0}


def test_a_cosine_goes_from_the_peak_over_its_half_to_nearly_nothing():
    rate = rate_of(schedule="cosine")
    assert rate(0) == 2.0
    assert rate(50) == pytest.approx(1.0)
    assert rate(99) == pytest.approx(1 + cos(pi * 0.99))
    assert rate(99) < 0.001


def test_a_cosine_after_a_warm_up_falls_over_what_is_left():
    rate = rate_of(schedule="cosine", warmup_epochs=2)
    assert rate(20) == 2.0
    assert rate(60) == pytest.approx(1.0)


def test_one_cycle_rises_over_a_quarter_and_falls_to_nothing():
    rate = rate_of(schedule="onecycle")
    assert rate(0) == pytest.approx(2.0 / 26)
    assert rate(25) == 2.0
    assert rate(62) == pytest.approx(2.0 * (1 - 37 / 75))
    assert rate(99) == pytest.approx(2.0 / 75)


def test_one_cycle_takes_a_given_warm_up():
    assert rate_of(schedule="onecycle", warmup_epochs=1)(10) == 2.0


def test_steps_drop_after_their_epochs():
    rate = rate_of(schedule="step", step_epochs=3, step_factor=0.5)
    assert [rate(step) for step in (0, 29, 30, 59, 60, 99)] == [2.0, 2.0, 1.0, 1.0, 0.5, 0.25]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_warm_up_rises_in_even_steps_that_begin_above_nothing(schedule):
    rate = rate_of(schedule=schedule, warmup_epochs=0.4)
    assert [rate(step) for step in range(5)] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0], rel=0.01)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_run_of_one_step_and_one_shorter_than_its_warm_up_have_a_rate(schedule):
    assert 0 < rate_of(total=1, per_epoch=1, schedule=schedule)(0) <= 2.0
    short = rate_of(total=5, per_epoch=5, schedule=schedule, warmup_epochs=3)
    assert [short(step) for step in range(5)] == pytest.approx([2.0 * (n + 1) / 16 for n in range(5)])


@pytest.mark.parametrize("schedule", ["constant", "step"])
def test_a_longer_run_takes_the_same_course_where_the_schedule_has_no_end(schedule):
    short, long = rate_of(total=50, schedule=schedule), rate_of(total=100, schedule=schedule)
    assert [short(step) for step in range(50)] == [long(step) for step in range(50)]
