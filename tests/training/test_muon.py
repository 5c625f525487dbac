"""Muon: what it makes of a gradient, what it keeps, and that its state survives a resume (law 1 holds that whole)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from eyas.config.training import OptimConfig
from eyas.training.muon import Muon, orthogonal
from eyas.training.optim import make_optimizer


@pytest.mark.parametrize("shape", [(8, 8), (16, 40), (40, 16)])
def test_the_singular_values_of_an_update_are_all_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.3
    assert values.max() < 1.6
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert (orthogonal(matrix) * (left @ right)).sum() > 0.95 * (orthogonal(matrix).norm() * (left @ right).norm())


def test_an_update_does_not_depend_on_the_size_of_the_gradient():
    matrix = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(orthogonal(matrix), orthogonal(1e6 * matrix), atol=1e-4)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(5))


def test_filters_keep_their_norm_and_head_and_vectors_are_left_to_adam():
    model = network()
    model(torch.randn(2, 3, 4, 4))
    config = OptimConfig(optimizer="muon", lr=0.1, momentum=0.6, head_lr=0.5, vector_lr=0.1)
    optimizer = make_optimizer(model, ("2",), config)
    assert isinstance(optimizer, Muon)
    kinds = {(group["orthogonal"], round(group["scale"], 3)): len(group["params"]) for group in optimizer.param_groups}
    assert kinds == {(True, 1.0): 1, (False, 0.1): 1, (False, 0.5): 1, (False, 0.05): 1}
    for _ in range(3):
        model(torch.randn(2, 3, 4, 4)).square().sum().backward()
        optimizer.step()
    assert model[0].weight.norm().item() == pytest.approx(2.0, rel=0.25)  # the square root of four filters
    assert set(optimizer.state[model[0].weight]) == {"momentum_buffer"}
    assert set(optimizer.state[model[2].weight]) == {"step", "first", "second"}


def test_the_part_for_vectors_is_adam():
    values = [torch.randn(7, generator=torch.Generator().manual_seed(1)) for _ in range(2)]
    ours, theirs = (nn.Parameter(value.clone()) for value in values)
    muon = Muon([{"params": [ours]}], lr=0.03, momentum=0.0)
    adam = torch.optim.Adam([theirs], lr=0.03, betas=(0.85, 0.95))
    for step in range(5):
        for parameter, optimizer in ((ours, muon), (theirs, adam)):
            parameter.grad = torch.sin(torch.arange(7.0) * (step + 1))
            optimizer.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_what_does_not_learn_is_not_in_the_optimiser():
    model = network()
    model(torch.randn(2, 3, 4, 4))
    model[0].weight.requires_grad_(False)
    optimizer = make_optimizer(model, ("2",), OptimConfig())
    assert not any(parameter is model[0].weight for group in optimizer.param_groups for parameter in group["params"])
