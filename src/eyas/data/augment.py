"""Random changes to training images: functions of (images, seed, epoch, sample), never of what ran before."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from eyas.data.order import Indices, key, uniform
from eyas.data.settings import AugmentConfig

LARGEST_MARGIN = 1.5  # random crops are taken from pictures at most this much larger than the input


@dataclass(frozen=True, slots=True)
class Augment:
    """The augmentation of a run: `size` and `fill` (grey levels 0-255) are the input's size and mean colour."""

    config: AugmentConfig
    size: int
    fill: tuple[int, int, int]

    @property
    def stored_size(self) -> int:
        """Size of the pictures that this starts from: larger than the input where rectangles are cut out of them."""
        margin = min(LARGEST_MARGIN, 1 / sqrt(max(self.config.crop_scale, 1e-6)))
        return ceil(self.size * margin)

    def __call__(self, images: Tensor, *, seed: int, epoch: int, samples: Indices) -> Tensor:
        """Return uint8 `[B, 3, stored, stored]` as uint8 `[B, 3, size, size]`; `samples` are int64 [B] indices.

        Each image's changes follow from (seed, epoch, its sample) alone: the batch it is in makes no difference.
        """
        if (transform := self.per_sample()) is not None:
            changed = []
            for image, sample in zip(images, samples.tolist(), strict=True):
                seed_all(key(seed, "augment", epoch, sample))
                changed.append(transform(image))
            images = torch.stack(changed)
        return images

    def flipped(self, images: Tensor, *, seed: int, epoch: int, samples: Indices) -> Tensor:
        """Return the images, some of them mirrored."""
        images = _flipped(images, uniform(key(seed, "flip", epoch), samples) < self.config.flip, -1)
        return _flipped(images, uniform(key(seed, "vertical", epoch), samples) < self.config.vertical_flip, -2)

    def per_sample(self) -> Callable[[Tensor], Tensor] | None:
        """Return torchvision's transforms of one image in the order they are applied, None if there are none."""
        config = self.config
        steps: list[Callable[[Tensor], Tensor]] = []
        if config.crop_scale < 1:
            steps.append(v2.RandomResizedCrop(self.size, scale=(config.crop_scale, 1.0), antialias=True))
        if config.crop_padding:
            steps.append(v2.RandomCrop(self.size, padding=config.crop_padding, fill=self.fill))
        if config.trivial_augment:
            steps.append(v2.TrivialAugmentWide(fill=list(self.fill)))
        if config.color_jitter:
            steps.append(v2.ColorJitter(*[config.color_jitter] * 3))
        if config.erasing:
            steps.append(v2.RandomErasing(p=config.erasing, value=list(map(float, self.fill))))
        return v2.Compose(steps) if steps else None


def mixing(config: AugmentConfig, classes: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return a function of (float images [B, 3, S, S], int64 labels [B]) that gives blended images and targets.

    Without mixup and CutMix the two come back as they are. The draws use torch's generator, which a step seeds.
    """
    kinds: list[v2.Transform] = []
    if config.mixup:
        kinds.append(v2.MixUp(alpha=config.mixup, num_classes=classes))
    if config.cutmix:
        kinds.append(v2.CutMix(alpha=config.cutmix, num_classes=classes))
    if not kinds:
        return lambda images, labels: (images, labels)
    chosen = v2.RandomChoice(kinds)

    def mix(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if len(images) < 2:  # nothing to blend with: the targets only take the same form
            return images, torch.nn.functional.one_hot(labels, classes).to(images.dtype)
        blended: tuple[Tensor, Tensor] = chosen(images, labels)
        return blended

    return mix


def seed_all(number: int) -> None:
    """Set the three generators that a foreign transform may draw from (torch's default one, Python's, numpy's)."""
    torch.default_generator.manual_seed(number)
    random.seed(number)
    np.random.seed(number % 2**32)


def _flipped(images: Tensor, chosen: np.ndarray, side: int) -> Tensor:
    """Flip the chosen images of a batch."""
    if not chosen.any():
        return images
    mask = torch.from_numpy(chosen).to(images.device).view(-1, 1, 1, 1)
    return torch.where(mask, images.flip(side), images)
