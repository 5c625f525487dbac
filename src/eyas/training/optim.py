"""Optimisers and learning rates. The rate is a function of the step; only the plateau's factor is state."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from eyas.model.zoo import in_head
from eyas.training.settings import OptimConfig, ScheduleConfig


def make_optimizer(model: nn.Module, head: tuple[str, ...], config: OptimConfig) -> Optimizer:
    """Return torch's optimiser over the model's parameters.

    Each group has a `scale`: its factor on the learning rate (`--backbone-lr` for all but the head). Weight decay
    leaves out vectors: biases and the scales of norms.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        scale = 1.0 if in_head(name, head) else config.backbone_lr
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((scale, decay), []).append(parameter)
    options = [{"params": ps, "scale": scale, "weight_decay": decay} for (scale, decay), ps in groups.items()]
    match config.optimizer:
        case "sgd":
            return torch.optim.SGD(options, config.lr, momentum=config.momentum, nesterov=config.nesterov)
        case "rmsprop":
            return torch.optim.RMSprop(options, config.lr, momentum=config.momentum)
        case "adagrad":
            return torch.optim.Adagrad(options, config.lr)
        case "adam" | "adamw" | "nadam" | "radam":
            kinds: tuple[Any, ...] = (torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam)
            adams = {kind.__name__.lower(): kind for kind in kinds}
            optimizer: Optimizer = adams[config.optimizer](options, config.lr)
            return optimizer


HORIZON = ("cosine", "onecycle")  # schedules whose course depends on the run's length: a longer run is another


@dataclass(frozen=True, slots=True)
class LearningRate:
    """The learning rate as a function of the steps taken: the course of the schedule, without a plateau's factor."""

    peak: float
    config: ScheduleConfig
    steps_per_epoch: int
    total_steps: int

    def __call__(self, step: int) -> float:
        """Return the rate of the step that follows `step` taken ones."""
        warmup = round(self.config.warmup_epochs * self.steps_per_epoch)
        if self.config.schedule == "onecycle":  # Smith and Topin 2018: up over a quarter, then down to nothing
            warmup = warmup or max(1, self.total_steps // 4)
        if step < warmup:
            return self.peak * (step + 1) / (warmup + 1)
        return self.peak * self._course(step, (step - warmup) / max(1, self.total_steps - warmup))

    def _course(self, step: int, share: float) -> float:
        match self.config.schedule:
            case "constant":
                return 1.0
            case "cosine":  # Loshchilov and Hutter 2017, without restarts
                return 0.5 * (1 + cos(pi * share))
            case "onecycle":
                return 1 - share
            case "step":
                drops = step // (self.config.step_epochs * self.steps_per_epoch)
                return float(self.config.step_factor**drops)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Give every group its rate: a value that is set, never one that is read and multiplied."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
