"""Plan: everything that a training needs, read and checked. Frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn

from eyas.config.run_config import RunConfig
from eyas.data.images.preprocess import Preprocess
from eyas.data.order import Order
from eyas.data.pipeline import Pipeline
from eyas.data.prepared import Prepared
from eyas.model.zoo import build
from eyas.training.loss import Loss
from eyas.training.optim import LearningRate

if TYPE_CHECKING:
    from eyas.device.runtime import Runtime


class Due(NamedTuple):
    """What the calendar says after a step."""

    log: bool
    epoch_end: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that `fit` needs to know: read, checked, in steps."""

    config: RunConfig
    directory: Path
    classes: tuple[str, ...]
    pipeline: Pipeline  # the training images, on their way to batches
    evaluations: dict[str, Prepared]  # "val", "test": what there is of them
    selects_on: str | None  # the split that chooses the best epoch
    order: Order
    preprocess: Preprocess
    mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    loss: Loss
    learning_rate: LearningRate
    fingerprint: dict[str, Any]  # what the results depend on, as plain data
    newest: dict[str, int]  # when the newest file of each set was changed: a resume notices later ones
    facts: tuple[tuple[str, str], ...]  # for people
    weights: dict[str, Tensor] | None  # the state that training starts from, None for random weights
    allowed_changes: frozenset[str] = frozenset()  # entries of the fingerprint that a resume need not compare

    @property
    def train(self) -> Prepared:
        """The training set."""
        return self.pipeline.prepared

    @property
    def seed(self) -> int:
        """The number that everything random is a function of."""
        return self.config.training.seed

    def placed(self, runtime: Runtime) -> Plan:
        """Return the plan with the loss on the device, and on a GPU the sets' pixels as far as there is room.

        `runtime.keeps_pixels` says afterwards whether any are there.
        """
        placed = replace(self, loss=self.loss.placed(runtime.device))
        if not runtime.keeps_pixels:
            return placed
        pipeline = self.pipeline.placed(runtime.device)
        others = {split: prepared.placed(runtime.device) for split, prepared in self.evaluations.items()}
        runtime.keeps_pixels = any(part.targets.is_cuda for part in (pipeline.prepared, *others.values()))
        return replace(placed, pipeline=pipeline, evaluations=others)

    @property
    def waits_for(self) -> str:
        """What a step waits for until its batch is there, and what would shorten it, in words."""
        reasons = self.pipeline.waits_for(self.config.data)
        unclear = len(reasons) != 1 and not self.config.output.profile
        return "; ".join([*reasons, *(["--profile shows the parts"] if unclear else [])])

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.order.steps_per_epoch * self.config.training.epochs

    @property
    def shortest_batch(self) -> int:
        """Images in an epoch's last batch."""
        return self.order.size(self.order.steps_per_epoch - 1)

    def part(self, images: int, processes: int) -> int:
        """Return the least of a batch of `images` that the network sees at once: a process's share, in parts."""
        share = images // processes
        return share // min(self.config.training.accumulate, share)

    def smallest_part(self, processes: int) -> int:
        """Return the least images that the network sees at once."""
        return min(self.part(size, processes) for size in (self.order.size(0), self.shortest_batch))

    def due(self, step: int) -> Due:
        """Return what is due after `step` steps: a pure calendar."""
        position = step % self.order.steps_per_epoch
        log = position in (0, 1) or step % self.config.output.log_every == 0
        return Due(log, position == 0)

    def new_model(self) -> nn.Module:
        """Return the network on the CPU before the first step."""
        model = build(self.config.model.model, len(self.classes))
        if self.weights is not None:
            model.load_state_dict(self.weights)
        elif hasattr(model, "prime"):
            model.prime(self.preprocess.normalize(self.pipeline.first_images()))  # type: ignore[operator]
        return model

