"""Random augmentation of whole batches: pure functions of (images, seed, epoch, sample)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import v2

from eyas.config.data import AugmentConfig
from eyas.data.augment.colour import in_pieces, jittered
from eyas.data.augment.crops import drawn_rectangles, erased, placed, resized_crops, shifted, taken
from eyas.data.augment.trivial import trivially_augmented
from eyas.errors import SettingsError
from eyas.seeds import Draws, Indices

LARGEST_MARGIN = 1.5  # random crops are taken from pictures at most this much larger than the input
CROP_ASPECT = (3 / 4, 4 / 3)  # width over height, as torchvision's RandomResizedCrop
ERASED_SHARE, ERASED_ASPECT = (0.02, 0.33), (1 / 3.3, 1 / 0.3)  # as torchvision's RandomErasing


@dataclass(frozen=True, slots=True)
class Augment:
    """The augmentation of a run: `size` and `fill` (grey levels 0-255) are the input's size and mean colour."""

    config: AugmentConfig
    size: int
    fill: tuple[int, int, int]

    def __post_init__(self) -> None:
        if self.config.crop_fill == "reflect" and self.config.crop_padding >= self.size:
            raise SettingsError(
                f"--crop-padding {self.config.crop_padding}: --crop-fill reflect mirrors less than the picture's "
                f"{self.size} pixels."
            )

    @property
    def stored_size(self) -> int:
        """Size of the pictures that this starts from: larger than the input where rectangles are cut out of them."""
        margin = min(LARGEST_MARGIN, 1 / sqrt(max(self.config.crop_scale, 1e-6)))
        return ceil(self.size * margin)

    def flipped(self, images: Tensor, *, seed: int, epoch: int, samples: Indices) -> Tensor:
        """Return uint8 `[B, 3, H, W]` of any size with the flips of these samples: int64 [B] indices.

        With `alternate_flip` a sample is mirrored in every second epoch; which one comes first is drawn once.
        """
        config = self.config
        if config.alternate_flip and config.flip:
            mirrored = (Draws(seed, 0, samples).uniform("flip") < config.flip) ^ bool(epoch % 2)
        else:
            mirrored = Draws(seed, epoch, samples).uniform("flip") < config.flip
        images = _flipped(images, mirrored, -1)
        return _flipped(images, Draws(seed, epoch, samples).uniform("vertical") < config.vertical_flip, -2)

    def __call__(self, images: Tensor, *, seed: int, epoch: int, samples: Indices) -> Tensor:
        """Return uint8 `[B, 3, stored, stored]` as uint8 `[B, 3, size, size]` with all changes but the flips.

        The order is: crop, shift, TrivialAugment, colour, erasing. Each image's changes follow from (seed, epoch, its
        sample) alone: the batch it is in makes no difference, on a CPU to the last bit.
        """
        config, fill = self.config, self.fill
        draws = Draws(seed, epoch, samples)
        if config.crop_scale < 1:
            share, side = (config.crop_scale, 1.0), images.shape[-1]
            cuts = drawn_rectangles(draws, "crop", side=side, share=share, aspect=CROP_ASPECT)
            images = resized_crops(images, cuts, self.size)
        if config.crop_padding:
            reflect = config.crop_fill == "reflect"
            images = shifted(images, draws, padding=config.crop_padding, fill=fill, reflect=reflect)
        if config.trivial_augment:
            images = trivially_augmented(images, draws, fill)
        if config.color_jitter:
            least, most = 1 - config.color_jitter, 1 + config.color_jitter
            factors = [draws.uniform(name, least, most) for name in ("brightness", "contrast", "saturation")]
            images = in_pieces(jittered, images, *placed(np.stack(factors).astype(np.float32), images))
        if config.erasing:
            side = images.shape[-1]
            cuts = drawn_rectangles(draws, "erasing", side=side, share=ERASED_SHARE, aspect=ERASED_ASPECT)
            images = erased(images, cuts, draws.uniform("erasing") < config.erasing, fill)
        return images


def mixing(config: AugmentConfig, classes: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return a function of (float images [B, 3, S, S], int64 labels [B]) that gives blended images and targets.

    Without mixup and CutMix the two come back as they are. The draws use torch's generator, which a step seeds.
    """
    strengths = ((v2.MixUp, config.mixup), (v2.CutMix, config.cutmix))
    kinds = [kind(alpha=alpha, num_classes=classes) for kind, alpha in strengths if alpha]
    if not kinds:
        return lambda images, labels: (images, labels)
    chosen = v2.RandomChoice(kinds)

    def mix(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if len(images) < 2:  # nothing to blend with: the targets only take the same form
            return images, torch.nn.functional.one_hot(labels, classes).to(images.dtype)
        blended: tuple[Tensor, Tensor] = chosen(images, labels)
        return blended

    return mix


def _flipped(images: Tensor, chosen: NDArray[np.bool_], side: int) -> Tensor:
    """Flip the chosen images of a batch."""
    if not chosen.any():
        return images
    number = placed(np.flatnonzero(chosen), images)
    return images.index_put((number,), taken(images, number).flip(side))
