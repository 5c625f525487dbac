"""Muon (Jordan et al. 2024): SGD with orthogonalised momentum, for filters and matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_A, _B, _C = 3.4445, -4.7750, 2.0315  # of the iteration: as steep as possible at zero
_ROUNDS = 3
_EPS = 1e-7


class Muon(Optimizer):
    """Muon for groups marked `orthogonal`, whose filters also keep their norm; Adam for the others.

    Filters `[out, in, h, w]` count as matrices `[out, in * h * w]`. Before each step a filter bank is scaled to the
    norm sqrt(out), so that the learning rate is a share of it, and weight decay has nothing to do. Source: Muon,
    https://kellerjordan.github.io/posts/muon/; the norm: airbench94.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "orthogonal": False, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change every parameter that has a gradient. `closure` is not supported."""
        assert closure is None
        for group in self.param_groups:
            change = self._orthogonal if group["orthogonal"] else self._adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    change(parameter, parameter.grad, group)

    def _orthogonal(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        average = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        ahead = gradient.add(average, alpha=group["momentum"])
        parameter.mul_(len(parameter) ** 0.5 / parameter.norm().clamp_min(_EPS))
        parameter.sub_(group["lr"] * orthogonal(ahead.flatten(1)).view_as(parameter))

    def _adam(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state |= {"step": 0, "first": torch.zeros_like(parameter), "second": torch.zeros_like(parameter)}
        state["step"] += 1
        first = state["first"].lerp_(gradient, 1 - 0.85)
        second = state["second"].lerp_(gradient.square(), 1 - 0.95)
        size = (second / (1 - 0.95 ** state["step"])).sqrt_().add_(1e-8)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(first, size, value=-group["lr"] / (1 - 0.85 ** state["step"]))


def orthogonal(matrix: Tensor) -> Tensor:
    """Return the matrix `[m, n]` with all singular values near 1 (0.5 to 1.5): a Newton-Schulz iteration."""
    wide: Tensor = matrix if matrix.size(0) <= matrix.size(1) else matrix.T
    wide = wide / (wide.norm() + _EPS)
    for _ in range(_ROUNDS):
        square = wide @ wide.T
        wide = _A * wide + (_B * square + _C * square @ square) @ wide
    return wide if wide.shape == matrix.shape else wide.T
