"""Preprocessing, network and softmax as one module: uint8 pixels of any size in, probabilities out."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from eyas.data.images.preprocess import Preprocess
from eyas.exporting.resizing import Fit
from eyas.model.classifier import Classifier

NETWORK = "network"  # the part of the graph that was trained; all else is exact arithmetic
INPUT, OUTPUT = "images", "probabilities"


class WholeClassifier(nn.Module):
    """uint8 `[N, 3, H, W]` -> probabilities float32 `[N, C]`: what `Classifier` says of the same pixels."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, preprocess: Preprocess, temperature: float) -> None:
        super().__init__()
        self.fit = Fit(preprocess)
        self.network = network
        self.preprocess = preprocess
        self.temperature = temperature
        self.register_buffer("mean", torch.tensor(preprocess.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocess.std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the probabilities."""
        normal = (self.fit(images) / 255 - self.mean) / self.std
        logits = self.preprocess.over_views(self.network, normal)
        return (logits / self.temperature).softmax(1)


def whole(classifier: Classifier) -> WholeClassifier:
    """Return a classifier as one module on the CPU, in evaluation mode; the classifier itself stays as it is."""
    network = copy.deepcopy(classifier.network).cpu().float().eval().requires_grad_(False)
    return WholeClassifier(
        network.to(memory_format=torch.contiguous_format), classifier.preprocess, classifier.temperature
    ).eval()
