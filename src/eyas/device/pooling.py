"""Adaptive average pooling with a deterministic gradient on GPUs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf


def with_deterministic_pooling(model: nn.Module) -> nn.Module:
    """Replace every `nn.AdaptiveAvgPool2d` in place by one of the same answers; return the model.

    CUDA adds up the gradients of windows that overlap in any order, and PyTorch refuses that where deterministic
    kernels are asked for (pytorch#50198); AlexNet and VGG have such a layer.
    """
    for name, child in model.named_children():
        # the mean of all has a deterministic gradient
        if isinstance(child, nn.AdaptiveAvgPool2d) and child.output_size not in (1, (1, 1)):
            setattr(model, name, _DeterministicPool(child.output_size))
        else:
            with_deterministic_pooling(child)
    return model


class _DeterministicPool(nn.AdaptiveAvgPool2d):
    def forward(self, input: Tensor) -> Tensor:
        """Return the means over windows: [B, C, h, w] for [B, C, H, W]."""
        pooled: Tensor = _Pooled.apply(input, self.output_size)
        return pooled


class _Pooled(torch.autograd.Function):
    """PyTorch's own forward pass; the gradient as two products of matrices."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, size: Any) -> Tensor:
        ctx.sides = images.shape[-2:]
        return nnf.adaptive_avg_pool2d(images, size)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        rows, columns = (
            _windows(side, parts).to(gradient.device, torch.float32, non_blocking=True)
            for side, parts in zip(ctx.sides, gradient.shape[-2:], strict=True)
        )
        return (rows.T @ gradient.float() @ columns).to(gradient.dtype), None


def _windows(side: int, parts: int) -> Tensor:
    """Return float64 [parts, side]: what each place weighs in the mean of each window, as PyTorch cuts them."""
    weights = torch.zeros(parts, side, dtype=torch.float64)
    for part in range(parts):
        first, end = part * side // parts, -(-(part + 1) * side // parts)
        weights[part, first:end] = 1 / (end - first)
    return weights
