"""Heat maps of where a network looks: Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) for any network of zoo.py."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from eyas.model.shapes import evaluating

FINE = 4  # cells a side that a map should have; coarser ones are taken where a network has no other
PREFIX = 5  # tokens that may stand before those of the picture: the class, a teacher's class, registers


def heatmap(network: nn.Module, inputs: Tensor, target: int) -> Tensor | None:
    """Return how much each place speaks for class `target`: float32 [h, w] on the CPU, 0 to 1.

    `inputs` float32 [1, 3, H, W] is what the network takes. Of all layers whose output has places (feature maps, or a
    transformer's tokens) the last one is used that the answer depends on in more than one place; one with `FINE` cells
    a side where there is such. None where there is none. All zeros where nothing speaks for the class. Leaves the
    network as it was.
    """
    seen: list[Tensor] = []

    def keep(module: nn.Module, given: Any, output: Any) -> None:
        output = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(output, Tensor) or not output.requires_grad or output.shape[0] != 1:
            return
        if output.ndim not in (3, 4) or (output.ndim == 3 and _tokens(output.shape[1]) is None):
            return
        (height, width), (tall, wide) = _grid(output).shape[-2:], inputs.shape[-2:]
        # of the picture's shape to a cell: what is cut into cells of attention heads ([1, heads, N, C]) has another
        if min(height, width) > 1 and abs(height * wide - width * tall) <= max(tall, wide):
            seen.append(output)

    with evaluating(network), torch.inference_mode(False), torch.enable_grad(), ExitStack() as hooks:
        for module in network.modules():
            hooks.enter_context(module.register_forward_hook(keep))
        logits = network(inputs.clone().requires_grad_())
        slopes = torch.autograd.grad(logits[0, target], seen, allow_unused=True) if seen else ()
    layers = zip(seen, slopes, strict=True)
    grids = [(_grid(layer.detach()), _grid(slope)) for layer, slope in layers if slope is not None]
    telling = [pair for pair in grids if int((pair[1] != 0).any(0).sum()) > 1]
    fine = [pair for pair in telling if min(pair[1].shape[-2:]) >= FINE]
    if not grids:
        return None
    values, slope = (fine or telling or grids)[-1]
    weights = slope.mean((1, 2), keepdim=True)
    heat = (weights * values).sum(0).relu().float().cpu()
    return heat / heat.max() if heat.max() > 0 else heat


def _tokens(count: int) -> int | None:
    """Return how many of `count` tokens stand before those of a square picture, None where none is left over."""
    left = range(count, max(count - PREFIX - 1, 3), -1)
    return next((count - square for square in left if math.isqrt(square) ** 2 == square), None)


def _grid(output: Tensor) -> Tensor:
    """Return a layer's output or its slope as [C, h, w]: from [1, C, h, w], [1, h, w, C], or tokens [1, N, C]."""
    if output.ndim == 4:
        height, width, last = output.shape[1:]
        return output[0].permute(2, 0, 1) if height == width != last else output[0]
    first = _tokens(output.shape[1])
    side = math.isqrt(output.shape[1] - (first or 0))
    return output[0, first:].T.reshape(output.shape[2], side, side)
