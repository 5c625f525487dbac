"""Plan: everything that a training needs to know, read, checked, in steps. Frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from eyas.config.run_config import RunConfig
from eyas.data.augment.augment import Augment
from eyas.data.images.preprocess import Preprocess
from eyas.data.order import Order
from eyas.data.pipeline import Change, Prepared, decoding_remedy
from eyas.model.zoo import build
from eyas.seeds import Indices, key, permuted
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
    train: Prepared
    evaluations: dict[str, Prepared]  # "val", "test": what there is of them
    selects_on: str | None  # the split that chooses the best epoch
    order: Order
    preprocess: Preprocess
    change: Change | None  # the user's own of every image
    augment: Augment
    mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    loss: Loss
    learning_rate: LearningRate
    fingerprint: dict[str, Any]  # what the results depend on, as plain data
    newest: dict[str, int]  # when the newest file of each set was changed: a resume notices later ones
    facts: tuple[tuple[str, str], ...]  # for people
    weights: dict[str, Tensor] | None  # the state that training starts from, None for random weights
    allowed_changes: frozenset[str] = frozenset()  # entries of the fingerprint that a resume need not compare

    @property
    def seed(self) -> int:
        """The number that everything random is a function of."""
        return self.config.training.seed

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.order.steps_per_epoch * self.config.training.epochs

    def placed(self, runtime: Runtime) -> Plan:
        """Return the plan with the loss on the device, and on a GPU the sets' pixels as far as there is room.

        `runtime.keeps_pixels` says afterwards whether any are there.
        """
        placed = replace(self, loss=self.loss.placed(runtime.device))
        if not runtime.keeps_pixels:
            return placed
        # the user's own function is given pictures in the machine's memory, perhaps in other processes
        train = self.train.placed(runtime.device) if self.change is None else self.train
        others = {split: prepared.placed(runtime.device) for split, prepared in self.evaluations.items()}
        runtime.keeps_pixels = any(part.targets.is_cuda for part in (train, *others.values()))
        return replace(placed, train=train, evaluations=others)

    def size(self, epoch: int) -> int:
        """Return the side in pixels of the training images of an epoch (from 0).

        With --progressive-size it grows evenly, in steps of an eighth, and is whole in the last third of the run.
        """
        full, epochs, start = self.preprocess.size, self.config.training.epochs, self.config.training.progressive_size
        share = start + (1 - start) * min(1.0, epoch / max(1.0, min(2 * epochs / 3, epochs - 1)))
        grain = max(1, full // 8)
        return full if share >= 1 else max(1, int(share * full / grain + 1e-9)) * grain

    def fitted(self, pixels: Tensor, samples: Indices, epoch: int) -> Tensor:
        """Return training pictures as they were read, now flipped and fitted: uint8 `[B, 3, stored, stored]`."""
        fit, size = self.train.fit if self.change is None else self.train.rescale, self.augment_at(epoch).stored_size
        drawn: dict[str, Any] = {"seed": self.seed, "epoch": epoch, "samples": samples}
        # small pictures are flipped sooner than large ones; a stretch commutes with it bit by bit, a cut need not
        if (self.preprocess.resize, self.preprocess.interpolation) == ("stretch", "bilinear"):
            return fit(self.augment.flipped(pixels, **drawn), size)
        return self.augment.flipped(fit(pixels, size), **drawn)

    def augmented(self, fitted: Tensor, samples: Indices, epoch: int) -> Tensor:
        """Return what `fitted` gave with an epoch's changes: uint8 `[B, 3, S, S]`."""
        return self.augment_at(epoch)(fitted, seed=self.seed, epoch=epoch, samples=samples)

    def varied(self, pixels: Tensor, samples: Indices, epoch: int) -> Tensor:
        """Return training pictures as they were read on the whole way to the network: uint8 `[B, 3, S, S]`."""
        changed = pixels if self.change is None else self.change(pixels, samples, epoch)
        return self.augmented(self.fitted(changed, samples, epoch), samples, epoch)

    def augment_at(self, epoch: int) -> Augment:
        """Return the augmentation to the size of an epoch."""
        return replace(self.augment, size=self.size(epoch))

    @property
    def shortest_batch(self) -> int:
        """Images in an epoch's last batch."""
        return self.order.size(self.order.steps_per_epoch - 1)

    @property
    def waits_for(self) -> str:
        """What a step waits for until its batch is there, and what would shorten it, in words."""
        reasons = []
        if self.train.store is None:
            reasons.append(f"images are decoded anew for every batch ({decoding_remedy(self.config.data)})")
        if self.change is not None and not self.config.data.workers:
            reasons.append("--transform goes image by image (--workers does it beside the training)")
        unclear = len(reasons) != 1 and not self.config.output.profile
        return "; ".join([*reasons, *(["--profile shows the parts"] if unclear else [])])

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
            model.prime(self.preprocess.normalize(self.first_images()))  # type: ignore[operator]
        return model

    def first_images(self) -> Tensor:
        """Return the run's first training images, unchanged, for a network that looks at them before it is trained.

        uint8 `[n, 3, S, S]` on the CPU, at most 5 million pixels.
        """
        count = min(len(self.train), max(16, 5_000_000 // self.preprocess.size**2))
        samples = permuted(np.arange(count), len(self.train), key(self.seed, "order", 0))
        return self.train.fit(self.train.read(samples)).cpu()
