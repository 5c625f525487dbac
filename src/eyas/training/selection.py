"""Which epoch is best, when the learning rate drops, when the run stops: values, replaced after every epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from eyas.evaluation.measures import measure_named


@dataclass(frozen=True, slots=True)
class Selection:
    """The best epoch so far and how long ago it was. A value that is not a number never counts as better."""

    measure: str  # "accuracy", "loss" or "macro_f1"
    value: float | None = None
    epoch: int | None = None
    waited: int = 0  # epochs since the best one
    last_train_loss: float | None = None
    last_val_loss: float | None = None
    overfit: int = 0  # epochs running in which training loss fell and the other rose

    def updated(self, value: float, epoch: int, *, train_loss: float, val_loss: float) -> Selection:
        """Return the selection after an epoch's evaluation."""
        diverging = (
            self.last_train_loss is not None
            and self.last_val_loss is not None
            and train_loss < self.last_train_loss
            and val_loss > self.last_val_loss
        )
        now = replace(
            self,
            last_train_loss=train_loss,
            last_val_loss=val_loss,
            overfit=self.overfit + 1 if diverging else 0,
        )
        if is_better(self.measure, value, self.value):
            return replace(now, value=value, epoch=epoch, waited=0)
        return replace(now, waited=self.waited + 1)

    def stop_reason(self, patience: int, overfit_patience: int) -> str:
        """Return "stalled" or "overfitting" where the run should stop, else "". A patience of 0 never stops."""
        if patience and self.waited >= patience:
            return "stalled"
        return "overfitting" if overfit_patience and self.overfit >= overfit_patience else ""


@dataclass(frozen=True, slots=True)
class Plateau:
    """The factor on the learning rate, lowered when the measure stalls."""

    measure: str
    factor: float = 1.0
    value: float | None = None
    waited: int = 0

    def updated(self, value: float, *, patience: int, drop: float) -> Plateau:
        """Return the plateau after an epoch: the factor times `drop` after `patience` epochs without improvement."""
        if is_better(self.measure, value, self.value):
            return replace(self, value=value, waited=0)
        if patience and self.waited + 1 >= patience:
            return replace(self, factor=self.factor * drop, waited=0)
        return replace(self, waited=self.waited + 1)


def is_better(measure: str, value: float, best: float | None) -> bool:
    """Return whether a value beats the best so far."""
    if not math.isfinite(value):
        return False
    if best is None:
        return True
    found = measure_named(measure)
    return value < best if found is not None and not found.more_is_better else value > best
