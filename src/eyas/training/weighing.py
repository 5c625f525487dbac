"""Parameters and gradients as histograms, where they are asked for: values for observers, nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from eyas.device.choice import sums_type
from eyas.device.runtime import Runtime
from eyas.training.events import Histogram, Weighed
from eyas.training.state import TrainState

if TYPE_CHECKING:
    from eyas.training.plan import Plan

PARTS = 64  # of a histogram


def gradients_of(state: TrainState, plan: Plan, runtime: Runtime) -> tuple[Histogram, ...]:
    """Return the gradients of the step being taken, where histograms are asked for and the epoch ends with it."""
    if not (plan.config.output.histograms and runtime.is_main and plan.due(state.step + 1).epoch_end):
        return ()
    named = state.model.named_parameters()
    return _histograms("gradients", ((name, value.grad) for name, value in named if value.grad is not None))


def weighed(state: TrainState, gradients: tuple[Histogram, ...], plan: Plan, runtime: Runtime) -> Iterator[Weighed]:
    """Yield the parameters as they are now, with the gradients of the step before, where they are asked for."""
    if plan.config.output.histograms and runtime.is_main:
        weights = _histograms("weights", state.model.named_parameters())
        yield Weighed(state.step, plan.order.epoch(state.step - 1) + 1, (*weights, *gradients))


@torch.no_grad()
def _histograms(kind: str, tensors: Iterator[tuple[str, Tensor]]) -> tuple[Histogram, ...]:
    found = (_histogram(name, kind, tensor) for name, tensor in tensors if tensor.numel())
    return tuple(histogram for histogram in found if histogram is not None)


def _histogram(name: str, kind: str, tensor: Tensor) -> Histogram | None:
    """Return a tensor's numbers, counted; None where one of them is not finite."""
    exact = tensor.detach().to(sums_type(tensor.device))
    low, high, total, squares = torch.stack([exact.min(), exact.max(), exact.sum(), exact.square().sum()]).tolist()
    if not np.isfinite([low, high, squares]).all():
        return None
    counts = torch.histc(exact.float().cpu().flatten(), PARTS, low, high).numpy().astype(np.int64)
    return Histogram(name, kind, low, high, tensor.numel(), total, squares, counts)
