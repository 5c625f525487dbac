"""Random crops, shifts and erased rectangles on whole batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from eyas.seeds import Draws, Indices

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Rectangles:
    """A rectangle per sample, inside its picture; pixels, int64 [B] each."""

    top: Indices
    left: Indices
    height: Indices
    width: Indices


def drawn_rectangles(
    draws: Draws, name: str, *, side: int, share: tuple[float, float], aspect: tuple[float, float]
) -> Rectangles:
    """Draw a rectangle for each sample in a square of `side` pixels.

    Its share of the area is uniform within `share`. Its width over its height is log-uniform within `aspect`, as far
    as a rectangle of that area fits into the square: so one draw is enough, and none is smaller than asked for.
    """
    area = np.maximum(draws.uniform(f"{name} share", *share), side**-2.0)
    slimmest = np.maximum(np.log(aspect[0]), np.log(area))
    widest = np.minimum(np.log(aspect[1]), -np.log(area))
    root = np.exp((slimmest + (widest - slimmest) * draws.uniform(f"{name} aspect")) / 2)
    height = np.clip(np.rint(side * np.sqrt(area) / root), 1, side)
    width = np.clip(np.rint(side * np.sqrt(area) * root), 1, side)
    top = np.floor(draws.uniform(f"{name} top") * (side - height + 1))
    left = np.floor(draws.uniform(f"{name} left") * (side - width + 1))
    return Rectangles(*(numbers.astype(np.int64) for numbers in (top, left, height, width)))


def resized_crops(images: Tensor, cuts: Rectangles, size: int) -> Tensor:
    """Return each image's rectangle resized by an antialiasing triangle filter: uint8 `[B, 3, size, size]`.

    On a CPU torch's kernel for grey levels takes one image at a time: anything that goes through floats of whole
    batches is slower. Elsewhere `resampled` computes all at once. The two differ by one grey level at most.
    """
    if images.device.type != "cpu":
        return resampled(images, cuts, size)
    sides = (cuts.top, cuts.left, cuts.top + cuts.height, cuts.left + cuts.width)
    corners = zip(*(numbers.tolist() for numbers in sides), strict=True)
    parts = [
        interpolate(image[..., top:bottom, left:right], (size, size), mode="bilinear", antialias=True)
        for image, (top, left, bottom, right) in zip(torch.split(images, 1), corners, strict=True)
    ]
    return torch.cat(parts)


def resampled(images: Tensor, cuts: Rectangles, size: int) -> Tensor:
    """Return what `resized_crops` does by two products of matrices per image, on any device."""
    height, width = images.shape[-2:]
    rows = _filters(placed(np.stack([cuts.top, cuts.height]), images), size, height)
    columns = _filters(placed(np.stack([cuts.left, cuts.width]), images), size, width)
    levels: Tensor = rows @ images.float() @ columns.transpose(-1, -2)
    return levels.add_(0.5).clamp_(0, 255).to(torch.uint8)


def _filters(spans: Tensor, size: int, length: int) -> Tensor:
    """Return the weights float32 `[B, 1, size, length]` that resize the span (first, count) of a row of pixels."""
    first, count = spans.float().view(2, -1, 1, 1)
    scale = count / size
    reach = scale.clamp(min=1)
    centre = first + (torch.arange(size, device=spans.device).view(-1, 1) + 0.5) * scale
    pixel = torch.arange(length, device=spans.device) + 0.5
    weights: Tensor = (1 - (pixel - centre).abs() / reach).clamp_(min=0)
    weights = weights * ((pixel > first) & (pixel < first + count))
    return weights.div_(weights.sum(-1, keepdim=True)).unsqueeze(1)


def shifted(images: Tensor, draws: Draws, *, padding: int, fill: Colour, reflect: bool) -> Tensor:
    """Return windows of the images' own size out of the images padded by `padding` pixels, at places of their own."""
    height, width = images.shape[-2:]
    wide = _reflected(images, padding) if reflect else bordered(images, padding, fill)
    windows = wide.unfold(2, height, 1).unfold(3, width, 1)  # [B, 3, 2p+1, 2p+1, H, W], a view
    places = [draws.below(f"shift {side}", 2 * padding + 1) for side in ("down", "right")]
    number, down, right = placed(np.stack([np.arange(len(images)), *places]), images)
    return windows[number, :, down, right]


def bordered(images: Tensor, padding: int, fill: Colour) -> Tensor:
    """Return the images with a border of one colour: uint8 `[B, 3, H + 2 padding, W + 2 padding]`."""
    count, _, height, width = images.shape
    wide = images.new_empty(count, 3, height + 2 * padding, width + 2 * padding)
    for channel, level in enumerate(fill):
        wide[:, channel] = level
    wide[..., padding : padding + height, padding : padding + width] = images
    return wide


def _reflected(images: Tensor, padding: int) -> Tensor:
    """Return the images with a border of their own mirror images; `padding` is less than a side."""
    for side in (2, 3):
        length = images.shape[side]
        before = images.narrow(side, 1, padding).flip(side)
        behind = images.narrow(side, length - padding - 1, padding).flip(side)
        images = torch.cat([before, images, behind], side)
    return images


def erased(images: Tensor, cuts: Rectangles, chosen: NDArray[np.bool_], fill: Colour) -> Tensor:
    """Return the images with the rectangles of the chosen ones painted over."""
    if not chosen.any():
        return images
    which = np.flatnonzero(chosen)
    spans = np.stack([cuts.top, cuts.left, cuts.top + cuts.height, cuts.left + cuts.width])[:, which]
    top, left, bottom, right = placed(spans, images).view(4, -1, 1, 1, 1)
    row = torch.arange(images.shape[-2], device=images.device).view(-1, 1)
    column = torch.arange(images.shape[-1], device=images.device)
    rows, columns = (row >= top) & (row < bottom), (column >= left) & (column < right)
    inside = rows.to(torch.uint8).neg_() & columns.to(torch.uint8).neg_()  # all bits set: far quicker than torch.where
    number = placed(which, images)
    pixels = taken(images, number)
    colour = placed(np.array(fill, np.uint8), images).view(3, 1, 1)
    return images.index_put((number,), pixels ^ ((pixels ^ colour) & inside))


def taken(images: Tensor, number: Tensor) -> Tensor:
    """Return the images of these numbers, int64 [n]. Whole images are copied at once in either order of memory."""
    if images.is_contiguous(memory_format=torch.channels_last):
        return images.permute(0, 2, 3, 1).index_select(0, number).permute(0, 3, 1, 2)
    return images.index_select(0, number)


def placed(numbers: NDArray[Any], images: Tensor) -> Tensor:
    """Return numbers drawn by the processor as a tensor where the images are, without waiting for the device."""
    return torch.from_numpy(numbers).to(images.device, non_blocking=True)
