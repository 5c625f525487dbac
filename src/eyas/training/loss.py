"""The loss: cross entropy of labels or of blended targets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as nnf


@dataclass(frozen=True, slots=True)
class Loss:
    """Cross entropy summed over samples: of whole labels [B] or of blended targets [B, C]."""

    label_smoothing: float = 0.0
    class_weights: Tensor | None = None  # float32 [C], 1 on average over the training samples

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the sum, a scalar; the step divides it by the size of the whole batch."""
        return nnf.cross_entropy(
            logits.float(), targets, weight=self.class_weights, reduction="sum", label_smoothing=self.label_smoothing
        )

    def placed(self, device: torch.device) -> Loss:
        """Return the loss for logits on `device`."""
        return self if self.class_weights is None else replace(self, class_weights=self.class_weights.to(device))
