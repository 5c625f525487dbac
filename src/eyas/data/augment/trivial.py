"""TrivialAugmentWide (Müller and Hutter 2021, arXiv:2103.10158) on whole batches: one operation per image.

Operations and ranges are those of torchvision's `TrivialAugmentWide`; positions are rounded to the nearest pixel.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional

from eyas.data.augment import colour
from eyas.data.augment.crops import Colour, bordered, placed, taken
from eyas.seeds import Draws, Indices

Numbers = NDArray[np.float64]

BINS = 31  # strengths, evenly spaced
GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
OPERATIONS = (
    "identity", *GEOMETRIC, "brightness", "color", "contrast", "sharpness", "posterize", "solarize", "autocontrast",
    "equalize",
)  # fmt: skip
_GROUPS = (("identity",), GEOMETRIC, *((name,) for name in OPERATIONS[6:]))  # what is computed together
_OF_LEVELS = {"brightness": colour.brightened, "color": colour.saturated, "contrast": colour.contrasted}
_FACTOR, _SHEAR, _PIXELS, _DEGREES = 0.99, 0.99, 32, 135  # at full strength


def trivially_augmented(images: Tensor, draws: Draws, fill: Colour) -> Tensor:
    """Return uint8 `[B, 3, H, W]`, each image changed by an operation of a strength and a direction drawn for it."""
    operations = draws.below("trivial operation", len(OPERATIONS))
    strengths = draws.below("trivial strength", BINS) / (BINS - 1)
    return operated(images, operations, np.where(draws.uniform("trivial sign") < 0.5, -strengths, strengths), fill)


def operated(images: Tensor, operations: Indices, strengths: Numbers, fill: Colour) -> Tensor:
    """Return the images changed by their operations, numbers in `OPERATIONS`, with strengths from -1 to 1, both [B].

    Images with the same operation are put side by side, changed together, and put back.
    """
    order = np.argsort(operations, kind="stable")
    beside, operations, strengths = taken(images, placed(order, images)), operations[order], strengths[order]
    parts = []
    for names in _GROUPS:
        ends = OPERATIONS.index(names[0]), OPERATIONS.index(names[-1]) + 1
        part = slice(*np.searchsorted(operations, ends).tolist())
        if part.start < part.stop:
            parts.append(_changed(beside[part], operations[part], strengths[part], fill))
    return taken(torch.cat(parts), placed(np.argsort(order), images))


def _changed(images: Tensor, operations: Indices, strengths: Numbers, fill: Colour) -> Tensor:
    """Return images that are changed by the same operation, or by any of the geometric ones."""
    name, strength = OPERATIONS[operations[0]], np.abs(strengths)
    if name == "identity":
        return images
    if name in GEOMETRIC:
        matrices = _source_matrices(operations, strengths, *images.shape[-2:]).astype(np.float32)
        return colour.in_pieces(partial(_warped, fill), images, placed(matrices, images))
    if name == "posterize":
        kept = 256 - 2 ** (8 - np.rint(8 - 6 * strength))  # the highest 8 to 2 bits
        return colour.posterized(images, placed(kept.astype(np.uint8), images).view(-1, 1, 1, 1))
    if name == "solarize":
        threshold = np.ceil(255 * (1 - strength) - 1e-9)  # whole numbers but for the last bits stay themselves
        return colour.solarized(images, placed(threshold.astype(np.uint8), images).view(-1, 1, 1, 1))
    if name in ("autocontrast", "equalize"):
        return colour.in_pieces(colour.stretched if name == "autocontrast" else functional.equalize, images)
    factors = placed((1 + _FACTOR * strengths).astype(np.float32), images)
    if name == "sharpness":
        return colour.in_pieces(colour.sharpened, images, factors)
    change = _OF_LEVELS[name]
    return colour.in_pieces(lambda some, factor: change(some.float(), factor).to(torch.uint8), images, factors)


def _source_matrices(operations: Indices, strengths: Numbers, height: int, width: int) -> Numbers:
    """Return where each pixel comes from, float64 [B, 6]: x' = a x + b y + c and y' = d x + e y + f.

    Coordinates are pixels from the picture's centre. Shears keep the upper or left edge, as torchvision's.
    """
    along, down, right, low, turn = (np.where(operations == OPERATIONS.index(name), strengths, 0) for name in GEOMETRIC)
    along, down, angle = along * _SHEAR, down * _SHEAR, np.radians(turn * _DEGREES)
    rows = [
        np.cos(angle), along - np.sin(angle), along * height / 2 - np.trunc(right * _PIXELS),
        down + np.sin(angle), np.cos(angle), down * width / 2 - np.trunc(low * _PIXELS),
    ]  # fmt: skip
    return np.stack(rows, axis=1)


def _warped(fill: Colour, images: Tensor, matrices: Tensor) -> Tensor:
    """Return images whose pixel (x, y) is the nearest to (a x + b y + c, d x + e y + f), or `fill` outside."""
    height, width = images.shape[-2:]
    a, b, c, d, e, f = torch.split(matrices, 1, dim=1)
    y = torch.arange(height, device=images.device).view(-1, 1) - (height - 1) / 2
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    column = ((a * x + c) + b * y).add_((width - 1) / 2).round_().clamp_(-1, width).long()
    row = ((d * x + f) + e * y).add_((height - 1) / 2).round_().clamp_(-1, height).long()
    place = ((row + 1) * (width + 2) + (column + 1)).flatten(2)  # what lies outside falls onto the border
    return bordered(images, 1, fill).flatten(2).gather(2, place.expand(-1, 3, -1)).view(images.shape)
