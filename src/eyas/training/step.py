"""train_step: forward, backward and one optimizer step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from eyas.data.pipeline import Batch
from eyas.device.runtime import Runtime
from eyas.seeds import Indices
from eyas.training.events import Histogram
from eyas.training.finite import check_step
from eyas.training.optim import set_learning_rate
from eyas.training.records import gradients_of
from eyas.training.state import Sums, TrainState

if TYPE_CHECKING:
    from eyas.training.plan import Plan


def train_step(state: TrainState, network: Any, batch: Batch, plan: Plan, runtime: Runtime) -> tuple[Histogram, ...]:
    """Take one optimiser step on one batch, in `accumulate` parts. Changes `state` and nothing else.

    The host does not wait for the device, but in fp16 with RMSprop, Adagrad, NAdam, RAdam or Muon: these cannot skip a
    step by themselves where gradients overflow, so PyTorch's scaler asks the device each time.
    Returns the gradients as histograms where they are asked for and the epoch ends (which waits for the device).
    Raises `DivergedError` before a loss that is not finite is learnt from, where that is known without waiting.
    """
    runtime.begin_step(plan.seed, state.step)  # dropout and mixing are functions of the step
    set_learning_rate(state.optimizer, plan.learning_rate(state.step) * state.factor)
    if not state.model.training:  # to tell every layer anew at every step takes as long as a small one computes
        state.model.train()
    span, sums = runtime.profile.span, Sums.zeros(runtime.device)
    with span("normalise"):
        images, targets = plan.mix(plan.preprocess.normalize(batch.images, runtime.memory_format), batch.labels)
    parts = list(_parts(images, targets, batch.labels, batch.samples, count=state.parts(plan)))
    for number, (some_images, some_targets, labels, samples) in enumerate(parts, start=1):
        with runtime.gradient_sync(network, enabled=number == len(parts)):  # several processes: join them once
            with span("forward"), runtime.autocast():
                logits = network(some_images)
                loss = plan.loss(logits, some_targets)  # a sum over samples, not a mean
            check_step(loss.detach(), logits.detach(), samples, state, plan, runtime)
            with span("backward"):  # DDP averages gradients over the processes: each is scaled up by their number
                state.scaler.scale(loss * runtime.world / batch.size).backward()  # type: ignore[no-untyped-call]
        sums.add(loss.detach(), logits.detach(), labels)
    with span("optimiser"):
        state.scaler.unscale_(state.optimizer)  # a disabled scaler makes these lines plain SGD
        if plan.config.training.clip_norm:
            clip_grad_norm_(state.model.parameters(), plan.config.training.clip_norm)
        gradients = gradients_of(state, plan, runtime)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        state.average.update(state.model)
    state.count_step(sums)
    return gradients


def _parts(
    images: Tensor, targets: Tensor, labels: Tensor, samples: Indices, *, count: int
) -> Iterator[tuple[Tensor, Tensor, Tensor, Indices]]:
    """Yield (images, targets, labels, samples) in at most `count` nearly equal parts, none of them empty."""
    count = min(count, len(images))
    tensors = (tensor.tensor_split(count) for tensor in (images, targets, labels))
    yield from zip(*tensors, np.array_split(samples, count), strict=True)
