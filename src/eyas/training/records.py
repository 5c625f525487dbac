"""What the loop tells its observers: the events of the start, of a stretch of steps, of an epoch, of the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from eyas.config.run_config import plain_settings
from eyas.device.choice import sums_type
from eyas.device.clock import Clock
from eyas.device.profile import Lap
from eyas.device.runtime import Runtime
from eyas.device.trace import TRACE
from eyas.training.events import EpochTrained, Finished, Histogram, Noted, Profiled, Started, Trained, Weighed
from eyas.training.fingerprint import software
from eyas.training.finite import check_window
from eyas.training.preflight import pictured, preflight
from eyas.training.state import Sums, TrainState

if TYPE_CHECKING:
    from eyas.training.plan import Plan


def started(state: TrainState, network: Any, plan: Plan, runtime: Runtime) -> Started:
    """Return the first event: what will run, and what became of one batch on the whole way."""
    with runtime.profile.span("preflight"):
        check = preflight(state, network, plan, runtime)
    return Started(
        directory=plan.directory,
        step=state.step,
        steps_per_epoch=plan.order.steps_per_epoch,
        epochs=plan.config.training.epochs,
        classes=plan.classes,
        facts=(
            *plan.facts,
            ("images", plan.train.in_words()),
            ("device", runtime.in_words()),
            ("software", software()),
            *(("warning", said) for said in check.warnings),
        ),
        shapes=check.shapes,
        first_batch=check.pictures,
        first_labels=check.labels,
        selects_on=plan.selects_on,
        waits_for=plan.waits_for,
        settings=plain_settings(plan.config, plan.preprocess.to_dict()),
        pictured=pictured(plan) if runtime.is_main else (),
    )


def noted(state: TrainState, runtime: Runtime) -> Iterator[Noted]:
    """Yield what the runtime was told to say meanwhile."""
    yield from (Noted(state.step, said, warning=True) for said in runtime.noted())


def loss_record(state: TrainState, plan: Plan, runtime: Runtime) -> Trained:
    """Return the loss since the last record and begin a new one. Raises `DivergedError` if it is not finite."""
    window = Sums(runtime.total(state.window.values))
    loss, _, samples = window.means()
    check_window(loss, window.values[3].item(), state, plan, runtime)
    rate = plan.learning_rate(state.step - 1) * state.factor
    epoch = plan.order.epoch(state.step - 1) + 1
    state.window = Sums.zeros(runtime.device)
    return Trained(state.step, epoch, loss, samples, rate)


def record_epoch(state: TrainState, plan: Plan, runtime: Runtime, clock: Clock) -> EpochTrained:
    """Return what the epoch's training came to."""
    loss, accuracy, samples = Sums(runtime.total(state.epoch.values)).means()
    return EpochTrained(
        step=state.step,
        epoch=plan.order.epoch(state.step - 1) + 1,
        loss=loss,
        accuracy=accuracy,
        samples=samples,
        lr=plan.learning_rate(state.step - 1) * state.factor,
        seconds=clock.seconds,
        images_per_second=samples / clock.seconds,
        waiting=clock.waiting,
    )


def profiled(lap: Lap | None, state: TrainState, plan: Plan, *, epoch: int | None) -> Iterator[Profiled]:
    """Tell where the time of a lap went, if it was measured."""
    if lap is not None:
        yield Profiled(state.step, epoch, lap.seconds, lap.shares, plan.directory / TRACE, lap.dropped)


def ended(state: TrainState, plan: Plan, runtime: Runtime, clock: Clock) -> Iterator[Profiled | Finished]:
    """Yield the last events: where the time went, why the training ended, and which epoch was the best."""
    yield from profiled(runtime.profile.whole(), state, plan, epoch=None)
    complete = state.epochs_done == plan.config.training.epochs
    yield Finished(
        step=state.step,
        epoch=state.epochs_done,
        reason=state.stopped or ("complete" if complete else "interrupted"),
        best_epoch=state.selection.epoch,
        best_value=state.selection.value,
        select=state.selection.measure,
        selects_on=plan.selects_on,
        seconds=clock.running,
    )


PARTS = 64  # of a histogram


def gradients_of(state: TrainState, plan: Plan, runtime: Runtime) -> tuple[Histogram, ...]:
    """Return the gradients of the step being taken, where histograms are asked for and the epoch ends with it."""
    if not (plan.config.output.histograms and runtime.is_main and plan.due(state.step + 1).epoch_end):
        return ()
    named = state.model.named_parameters()
    return _histograms("gradients", ((name, value.grad) for name, value in named if value.grad is not None))


def weighed(state: TrainState, gradients: tuple[Histogram, ...], plan: Plan, runtime: Runtime) -> Iterator[Weighed]:
    """Yield the parameters as they are now, with the gradients of the step before, where they are asked for."""
    if plan.config.output.histograms and runtime.is_main:
        weights = _histograms("weights", state.model.named_parameters())
        yield Weighed(state.step, plan.order.epoch(state.step - 1) + 1, (*weights, *gradients))


@torch.no_grad()
def _histograms(kind: str, tensors: Iterator[tuple[str, Tensor]]) -> tuple[Histogram, ...]:
    found = (_histogram(name, kind, tensor) for name, tensor in tensors if tensor.numel())
    return tuple(histogram for histogram in found if histogram is not None)


def _histogram(name: str, kind: str, tensor: Tensor) -> Histogram | None:
    """Return a tensor's numbers, counted; None where one of them is not finite."""
    exact = tensor.detach().to(sums_type(tensor.device))
    low, high, total, squares = torch.stack([exact.min(), exact.max(), exact.sum(), exact.square().sum()]).tolist()
    if not np.isfinite([low, high, squares]).all():
        return None
    counts = torch.histc(exact.float().cpu().flatten(), PARTS, low, high).numpy().astype(np.int64)
    return Histogram(name, kind, low, high, tensor.numel(), total, squares, counts)
