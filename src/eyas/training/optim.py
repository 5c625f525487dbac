"""Optimisers and learning rate schedules. The rate is a function of the step; only the plateau's factor is state."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

import torch
from torch import nn
from torch.optim import Optimizer

from eyas.config.training import OptimConfig, ScheduleConfig
from eyas.model.zoo import in_head
from eyas.training.muon import Muon


def make_optimizer(model: nn.Module, head: tuple[str, ...], config: OptimConfig) -> Optimizer:
    """Return an optimiser over the model's parameters that learn.

    Each group has a `scale`: its factor on the learning rate (`--head-lr`, `--backbone-lr`, `--vector-lr`). Weight
    decay leaves out vectors: biases and the scales of norms.
    """
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            at_head, vector = in_head(name, head), parameter.ndim < 2
            scale = (config.head_lr if at_head else config.backbone_lr) * (config.vector_lr if vector else 1.0)
            orthogonal = config.optimizer == "muon" and not (at_head or vector)
            groups.setdefault((scale, 0.0 if vector else config.weight_decay, orthogonal), []).append(parameter)
    options = [
        {"params": parameters, "scale": scale, "weight_decay": decay, "orthogonal": orthogonal}
        for (scale, decay, orthogonal), parameters in groups.items()
    ]
    # one kernel for all parameters on a GPU; on a CPU nothing is gained by it
    fused = all(parameter.is_cuda for parameter in model.parameters()) or None
    match config.optimizer:
        case "muon":
            return Muon(options, config.lr, config.momentum)
        case "sgd":
            return torch.optim.SGD(options, config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=fused)
        case "rmsprop":
            return torch.optim.RMSprop(options, config.lr, momentum=config.momentum)
        case "adagrad":
            return torch.optim.Adagrad(options, config.lr)
        case "adam" | "adamw":
            kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
            return kind(options, config.lr, fused=fused)
        case "nadam":
            return torch.optim.NAdam(options, config.lr)
        case "radam":
            return torch.optim.RAdam(options, config.lr)


HORIZON = ("linear", "cosine", "onecycle")  # their course depends on the run's length: a longer run is another


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
            case "linear":
                return 1 - share
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
