"""Colour changes on whole batches, with a factor per image; equal to torchvision's for the same factors.

What is called `levels` here are whole grey levels from 0 to 255 as float32 `[B, 3, H, W]`; a factor is `[B, 1, 1, 1]`.
Sums over an image are exact, so no image's result depends on the batch around it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

PIECE = 2**18  # values: what floats of so many take stays in a processor's cache


def in_pieces(change: Callable[..., Tensor], images: Tensor, *factors: Tensor) -> Tensor:
    """Return `change(images, *factors)`; on a CPU computed for a few images at a time, so that floats stay in cache.

    `images` are uint8 `[B, 3, H, W]`; of `factors`, `[B]` or `[B, n]`, `change` gets `[b, 1, 1, 1]` or `[b, n, 1, 1]`.
    """
    shaped = [numbers.view(len(images), -1, 1, 1) for numbers in factors]
    count = max(1, PIECE // images[0].numel())
    if images.device.type != "cpu" or len(images) <= count:
        return change(images, *shaped)
    parts = zip(*(torch.split(numbers, count) for numbers in (images, *shaped)), strict=True)
    return torch.cat([change(*part) for part in parts])


def jittered(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Change brightness, then contrast, then saturation."""
    levels = brightened(images.float(), brightness)
    return saturated(contrasted(levels, contrast), saturation).to(torch.uint8)


def brightened(levels: Tensor, factor: Tensor) -> Tensor:
    """Make the images lighter or darker: 0 gives black."""
    return (levels * factor).clamp_(max=255).floor_()


def contrasted(levels: Tensor, factor: Tensor) -> Tensor:
    """Move all pixels away from the image's mean grey, or towards it: 0 gives that grey."""
    height, width = levels.shape[-2:]
    total = _grey(levels).sum(-1).long().sum(-1)  # a row's sum is a whole number below 2**24, so it is exact
    mean = (total.float() / (height * width)).view(-1, 1, 1, 1)
    return _blended(levels, mean, factor)


def saturated(levels: Tensor, factor: Tensor) -> Tensor:
    """Move all pixels away from their grey, or towards it: 0 gives a grey image."""
    return _blended(levels, _grey(levels), factor)


def sharpened(images: Tensor, factor: Tensor) -> Tensor:
    """Move uint8 images away from their blurred selves, or towards them; the outermost pixels stay."""
    if min(images.shape[-2:]) < 3:
        return images
    levels = images.float()
    columns = levels[..., :-2, :] + levels[..., 1:-1, :] + levels[..., 2:, :]
    box = columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:]
    inner = levels[..., 1:-1, 1:-1]
    blurred = box.add_(inner, alpha=4).mul_(1 / 13).round_()
    changed = images.clone()
    changed[..., 1:-1, 1:-1] = _blended(inner, blurred, factor).to(torch.uint8)
    return changed


def posterized(images: Tensor, kept: Tensor) -> Tensor:
    """Keep the bits of uint8 images that are set in `kept`, uint8 `[B, 1, 1, 1]`."""
    return images & kept


def solarized(images: Tensor, threshold: Tensor) -> Tensor:
    """Turn the levels of uint8 images from `threshold` upwards, uint8 `[B, 1, 1, 1]`, into their negatives."""
    return images ^ (images >= threshold).to(torch.uint8).neg_()  # the negative has all bits turned over


def stretched(images: Tensor) -> Tensor:
    """Spread each channel of uint8 images over all levels; a channel of one level stays."""
    low, high = images.amin((-2, -1), keepdim=True).float(), images.amax((-2, -1), keepdim=True).float()
    flat = low == high
    scale = ((high - low) * (1 / 255)).masked_fill_(flat, 1)
    return (images.float() - low.masked_fill_(flat, 0)).div_(scale).clamp_(0, 255).to(torch.uint8)


def _grey(levels: Tensor) -> Tensor:
    red, green, blue = torch.split(levels, 1, dim=1)
    return (red * 0.2989 + green * 0.587 + blue * 0.114).floor_()


def _blended(levels: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return (levels * factor + other * (1 - factor)).clamp_(0, 255).floor_()
