"""A network for fast training on images of 16 to 64 pixels; its first layer is computed from the data."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

_PATCH = 2  # side of the first filters
_EPS = 5e-4  # added to the variances that the first filters divide by


def swift(num_classes: int = 10, widths: tuple[int, int, int] = (64, 256, 256)) -> nn.Module:
    """Return a freshly initialised swift network, 2.0 million parameters.

    Takes float32 [B, 3, H, W] of any size from 9x9, gives logits float32 [B, num_classes]. Best with the optimiser
    `muon`, as in the recipe `fast`. Source: the network of airbench94 (arXiv:2404.00498).
    """
    return Swift(num_classes, widths)


class Swift(nn.Module):
    """Whitening filters, three groups of two convolutions, the largest value of every map, one linear layer."""

    def __init__(self, num_classes: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        patch = 3 * _PATCH**2
        self.register_buffer("filters", torch.randn(2 * patch, 3, _PATCH, _PATCH))
        self.shift = nn.Parameter(torch.zeros(2 * patch))
        first, second, third = widths
        self.groups = nn.Sequential(Group(2 * patch, first), Group(first, second), Group(second, third))
        self.fc = nn.Linear(third, num_classes, bias=False)
        nn.init.normal_(self.fc.weight, std=1 / third)

    def prime(self, images: Tensor) -> None:
        """Make the first filters whiten patches of `images`, float32 [N, 3, H, W], normalised; each also negated."""
        patches = images.unfold(2, _PATCH, 1).unfold(3, _PATCH, 1).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
        covariance = patches.double().T @ patches.double() / len(patches)
        values, vectors = torch.linalg.eigh(covariance)
        whitening = (vectors / (values + _EPS).sqrt()).T.reshape(-1, 3, _PATCH, _PATCH)
        self.get_buffer("filters").copy_(torch.cat([whitening, -whitening]))

    def forward(self, images: Tensor) -> Tensor:
        features = self.groups(nnf.gelu(nnf.conv2d(images, self.get_buffer("filters"), self.shift)))
        logits: Tensor = self.fc(features.amax((2, 3)))
        return logits


class Group(nn.Module):
    """Two 3x3 convolutions that begin as the identity, the first of them followed by a 2x2 pool."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = _identity(inputs, outputs), _identity(outputs, outputs)
        self.norm1, self.norm2 = _norm(outputs), _norm(outputs)

    def forward(self, features: Tensor) -> Tensor:
        features = nnf.gelu(self.norm1(nnf.max_pool2d(self.first(features), 2)))
        return nnf.gelu(self.norm2(self.second(features)))


def _identity(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(layer.weight[:inputs])
    return layer


def _norm(channels: int) -> nn.BatchNorm2d:
    """Return a batch normalisation that learns its bias only, and forgets its statistics quickly."""
    norm = nn.BatchNorm2d(channels, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm
