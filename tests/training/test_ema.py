"""The running average of the weights."""

from __future__ import annotations

import torch
from torch import nn

from eyas.model.zoo import build
from eyas.training.ema import Ema, NoEma


def moved(model: nn.Module, value: float) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


def test_the_average_follows_its_formula():
    model = moved(nn.Linear(2, 2), 0.0)
    ema = Ema(model, 0.5)
    expected = 0.0
    for number in range(12):
        decay = min(0.5, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * (number + 1.0)
        ema.update(moved(model, number + 1.0))
        assert torch.allclose(ema.model.weight, torch.full((2, 2), expected))


def test_the_first_update_takes_nearly_everything_over_from_the_start():
    ema = Ema(moved(nn.Linear(1, 1), 0.0), 0.999)
    ema.update(moved(nn.Linear(1, 1), 1.0))
    assert ema.model.weight.item() == torch.tensor(0.9).item()


def test_the_average_is_another_model_that_is_never_trained():
    model = nn.Linear(2, 2)
    ema = Ema(model, 0.9)
    moved(model, 7.0)
    assert not torch.equal(ema.model.weight, model.weight)
    assert not any(parameter.requires_grad for parameter in ema.model.parameters())
    assert not ema.model.training
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_running_statistics_are_averaged_and_counts_are_taken_over():
    model = nn.BatchNorm1d(3)
    ema = Ema(model, 0.5)
    for _ in range(3):
        model(torch.randn(8, 3) + 5)
        ema.update(model)
    assert ema.model.num_batches_tracked == model.num_batches_tracked == 3
    assert 0 < ema.model.running_mean.mean() <= model.running_mean.mean()


def test_saved_and_loaded_it_goes_on_as_if_nothing_had_been():
    model = build("compact", 2)
    ema = Ema(model, 0.9)
    for value in (1.0, 2.0):
        ema.update(moved(model, value))
    tensors, plain = {name: tensor.clone() for name, tensor in ema.tensors().items()}, ema.plain()
    again = Ema(build("compact", 2), 0.9)
    again.load(tensors, plain)
    for one in (ema, again):
        one.update(moved(model, 3.0))
    assert again.plain() == ema.plain() == {"updates": 3}
    assert all(torch.equal(value, again.tensors()[name]) for name, value in ema.tensors().items())


def test_no_average_is_the_model_itself():
    model = nn.Linear(2, 2)
    none = NoEma(model)
    none.update(model)
    assert none.model is model
    assert (none.tensors(), none.plain()) == ({}, {})
    none.load({}, {})
