"""The end of an epoch: evaluate, select the best, save."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, TypeAlias

from eyas.device.clock import Clock
from eyas.device.runtime import Runtime
from eyas.evaluation.one_pass import evaluate
from eyas.evaluation.scores import Scores
from eyas.training.checkpoint import EpochDone
from eyas.training.events import EpochOver, Evaluated, Event, Noted, Progress, Saved
from eyas.training.finite import diverged
from eyas.training.records import profiled
from eyas.training.saving import Saver
from eyas.training.state import Sums, TrainState

if TYPE_CHECKING:
    from eyas.training.plan import Plan

Events: TypeAlias = Generator[Event, None, None]


def evaluated(state: TrainState, plan: Plan, runtime: Runtime) -> Generator[Event, None, EpochDone | None]:
    """Evaluate, choose, and begin the next epoch in `state`; return what the epoch's model is saved with.

    Interrupted while it evaluates, it returns None and leaves `state` as it was: a resume evaluates again.
    """
    for model in (state.model, state.average.model):
        runtime.share_buffers(model)
    train_loss = Sums(runtime.total(state.epoch.values)).means()[0]
    passes: dict[str, tuple[Scores, float]] = {}
    for split in plan.evaluations:
        began = time.perf_counter()
        with runtime.profile.span(f"{split} pass"):
            scores = yield from _one_pass(state, plan, runtime, split)
        if scores is None:
            return None
        if not math.isfinite(scores.loss):
            raise diverged(state.step, f"the {split} loss is {scores.loss}")
        passes[split] = scores, time.perf_counter() - began
    epoch = state.epochs_done + 1
    improved = plan.selects_on is None
    if plan.selects_on is not None:
        chosen = passes[plan.selects_on][0]
        value = chosen.measure(state.selection.measure)
        state.selection = state.selection.updated(value, epoch, train_loss=train_loss, val_loss=chosen.loss)
        improved = state.selection.epoch == epoch
        before = state.factor
        schedule = plan.config.schedule
        state.plateau = state.plateau.updated(value, patience=schedule.plateau, drop=schedule.plateau_factor)
        if state.factor != before:
            yield Noted(state.step, f"No improvement for {schedule.plateau} epochs: the learning rate drops to "
                        f"{plan.learning_rate(state.step) * state.factor:.3g}.")  # fmt: skip
        limits = plan.config.training
        state.stopped = state.selection.stop_reason(limits.patience, limits.overfit_patience)
    for split, (scores, seconds) in passes.items():
        selects = split == plan.selects_on
        yield Evaluated(state.step, epoch, split, scores, selects, selects and improved, seconds)
    state.epochs_done = epoch
    state.epoch, state.seconds, state.waited = Sums.zeros(runtime.device), 0.0, 0.0
    return EpochDone({split: scores for split, (scores, _) in passes.items()}, improved)


def _one_pass(state: TrainState, plan: Plan, runtime: Runtime, split: str) -> Generator[Progress, None, Scores | None]:
    """Yield signs of life; return the scores of a split, None if told to stop meanwhile."""
    prepared = plan.evaluations[split]
    passing = evaluate(state.average.model, prepared, plan.preprocess, runtime, data=plan.config.data)
    clock = Clock(0.0, 0.0)
    while True:
        try:
            done = next(passing)
        except StopIteration as end:
            scores: Scores = end.value
            return scores
        if clock.tick():
            yield Progress(state.step, None, done / clock.running, 0.0, split, done, len(prepared))
        if runtime.world == 1 and runtime.stop_requested:
            return None


def saved(state: TrainState, done: EpochDone | None, saver: Saver, runtime: Runtime, clock: Clock) -> tuple[Saved, ...]:
    """Hand the state to the saver, and return what came to the disk meanwhile."""
    began = time.perf_counter()
    if done is None:  # within an epoch
        state.seconds, state.waited = clock.seconds, clock.waited
    with runtime.profile.span("saving"):
        earlier = tuple(saver.save(state, done))
    clock.saving += time.perf_counter() - began
    clock.go_on()
    return earlier


def end_epoch(state: TrainState, plan: Plan, runtime: Runtime, saver: Saver, clock: Clock) -> Events:
    """Evaluate, choose and save; tell what the epoch took, unless its evaluation was interrupted."""
    done = yield from evaluated(state, plan, runtime)
    yield from saved(state, done, saver, runtime, clock)
    if state.step == state.epochs_done * plan.order.steps_per_epoch:
        yield EpochOver(state.step, state.epochs_done, clock.whole, clock.saving)
        yield from profiled(runtime.profile.lap(), state, plan, epoch=state.epochs_done)
    clock.new_epoch()
