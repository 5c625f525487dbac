"""Detects NaN and infinite losses before the optimizer step, and names the batch that caused them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from eyas.device.runtime import Runtime
from eyas.errors import DivergedError
from eyas.seeds import Indices
from eyas.training.state import TrainState

if TYPE_CHECKING:
    from eyas.training.plan import Plan

SHOWN = 3  # files of a batch that are named; the rest is counted
SMALLEST_SCALE = 2.0**-10  # fp16: after 26 skipped steps running, nothing is learnt any more


def diverged(step: int, what: str) -> DivergedError:
    """Return the error for numbers that ran away: nothing of them is ever saved."""
    return DivergedError(
        f"step {step}: {what}. Nothing was saved since it went wrong. "
        "Begin again with a lower --lr, with --clip-norm 1, or with another --precision; --on-nan rollback goes back "
        "by itself to the last state saved and on with half the learning rate."
    )


def check_step(loss: Tensor, logits: Tensor, samples: Indices, state: TrainState, plan: Plan, runtime: Runtime) -> None:
    """Raise `DivergedError` where the loss of the step after `state.step` is not finite, before it is learnt from.

    On one CPU only, where to look costs nothing; elsewhere `check_window` finds it when a record is due. `samples`
    are those of `logits` [B, C].
    """
    if runtime.device.type != "cpu" or runtime.world > 1 or math.isfinite(loss.item()):
        return
    odd = ~logits.isfinite().all(1).numpy()
    raise _of_step(state.step + 1, loss.item(), samples[odd] if odd.any() else samples, len(samples), state, plan)


def check_window(loss: float, finite: float, state: TrainState, plan: Plan, runtime: Runtime) -> None:
    """Raise `DivergedError` where the mean `loss` since the last record is not finite, or fp16 skips every step.

    `finite` counts the steps since then, summed over the processes, until the loss was not finite.
    """
    if not math.isfinite(loss):
        begun = state.step - 1
        while begun and not plan.due(begun).log:
            begun -= 1
        step = min(state.step, begun + int(finite) // runtime.world + 1)
        samples = plan.order.batch(step - 1)
        raise _of_step(step, loss, samples, len(samples), state, plan)
    if state.scaler.is_enabled() and state.scaler.get_scale() < SMALLEST_SCALE:
        raise diverged(state.step, "fp16: the gradients are not finite however they are scaled, so no step is taken")


def _of_step(step: int, loss: float, samples: Indices, count: int, state: TrainState, plan: Plan) -> DivergedError:
    """Return the error that names the step, its batch, and whether the weights were sound before it."""
    rate = plan.learning_rate(step - 1) * state.factor
    which = f"{len(samples)} of the {count} images" if len(samples) < count else f"all {count} images"
    places = "; ".join(plan.train.images.place(int(sample)) for sample in samples[:SHOWN])
    more = f" and {len(samples) - SHOWN} more" if len(samples) > SHOWN else ""
    spoilt = not all(torch.isfinite(values).all() for values in state.model.state_dict().values())
    before = f" (the weights were not finite before it: step {step - 1} made them so)" if spoilt and step > 1 else ""
    return diverged(
        step,
        f"the training loss is {loss} (epoch {plan.order.epoch(step - 1) + 1}, learning rate {rate:g}), "
        f"of {which} computed at once{before}: {places}{more}",
    )
