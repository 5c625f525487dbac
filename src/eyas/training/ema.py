"""A running average of the weights; `NoEma` has the same interface and does nothing."""

from __future__ import annotations

import copy
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from eyas.model.weights import put_back


class Average(Protocol):
    """What is measured and saved as the model: the average, or the trained weights themselves."""

    model: nn.Module

    def update(self, trained: nn.Module) -> None: ...
    def tensors(self) -> dict[str, Tensor]: ...
    def load(self, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None: ...
    def plain(self) -> dict[str, Any]: ...


class NoEma:
    """No average: the model is the trained one."""

    def __init__(self, trained: nn.Module) -> None:
        self.model = trained

    def update(self, trained: nn.Module) -> None:
        """Do nothing."""

    def tensors(self) -> dict[str, Tensor]:
        """Return nothing to save."""
        return {}

    def plain(self) -> dict[str, Any]:
        """Return nothing to save."""
        return {}

    def load(self, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
        """Take nothing."""


class Ema:
    """Exponential moving average of weights and buffers; its decay grows from 0 so that early steps do not linger."""

    def __init__(self, trained: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(trained).requires_grad_(False).eval()
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, trained: nn.Module) -> None:
        """Move every number towards the trained one by 1 - min(decay, (1 + n) / (10 + n)) after n updates."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        pairs = list(zip(self.model.state_dict().values(), trained.state_dict().values(), strict=True))
        numbers = [pair for pair in pairs if pair[0].is_floating_point()]
        counts = [pair for pair in pairs if not pair[0].is_floating_point()]  # of batches, by batch normalisation
        torch._foreach_lerp_([average for average, _ in numbers], [value for _, value in numbers], 1 - decay)
        if counts:
            torch._foreach_copy_([average for average, _ in counts], [value for _, value in counts])

    def tensors(self) -> dict[str, Tensor]:
        """Return the averaged weights and buffers."""
        return dict(self.model.state_dict())

    def plain(self) -> dict[str, Any]:
        """Return the number of updates, on which the decay depends."""
        return {"updates": self.updates}

    def load(self, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
        """Take back what `tensors` and `plain` gave."""
        put_back(self.model, tensors)
        self.updates = plain["updates"]
