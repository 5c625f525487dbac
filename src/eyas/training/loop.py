"""The training loop: steps, and what happens where the calendar says so."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, TypeAlias

from eyas.data.batches import loaded
from eyas.evaluation import evaluate
from eyas.events import (
    EpochOver,
    EpochTrained,
    Evaluated,
    Event,
    Finished,
    Noted,
    Profiled,
    Progress,
    Saved,
    Started,
    Trained,
)
from eyas.metrics import Scores
from eyas.profile import Lap
from eyas.trace import TRACE
from eyas.training.checkpoint import diverged, restore, save_epoch, save_state
from eyas.training.clock import Clock
from eyas.training.preflight import preflight
from eyas.training.runtime import Runtime
from eyas.training.state import Sums, TrainState
from eyas.training.step import Batch, train_step

if TYPE_CHECKING:
    from eyas.plan import Plan

Events: TypeAlias = Iterator[Event]


def fit(plan: Plan, runtime: Runtime) -> Events:
    """Train to the end of `plan`, yielding an event for everything worth recording.

    Goes on by itself where the run folder holds a state. The caller writes the events where it likes; it cannot reach
    the state, so no observer can change a result. Every process must drain the generator.
    """
    state = TrainState.fresh(plan, runtime)
    notes = list(restore(state, plan, runtime))  # no state saved: leaves the fresh one as it is
    yield started(state, plan, runtime)
    yield from notes
    runtime.profile.lap()  # what was before belongs to no epoch
    network = runtime.wrap(state.model)
    clock = Clock(state.seconds, state.waited)
    if state.step > state.epochs_done * plan.order.steps_per_epoch and plan.due(state.step).epoch_end:
        yield from end_epoch(state, plan, runtime, clock)  # was cut off between an epoch's last step and its evaluation
        yield save(state, plan, runtime, clock)
        yield from epoch_over(state, plan, runtime, clock)
    clock.go_on()
    start = plan.total_steps if state.stopped or runtime.interrupted(state.step) else state.step
    batches = runtime.profile.each("waiting for data", train_batches(plan, runtime, start=start))
    for batch in clock.timed(batches):
        with runtime.profile.span("step", step=state.step + 1, epoch=plan.order.epoch(state.step) + 1):
            train_step(state, network, batch, plan, runtime)
        clock.step_done(batch.size)
        state.seconds, state.waited = clock.seconds, clock.waited
        due = plan.due(state.step)
        if due.log:
            yield record(state, plan, runtime)
        elif clock.rate and clock.tick():
            yield Progress(state.step, state.window.means()[0], clock.rate, clock.waiting)
        if due.epoch_end:
            yield record_epoch(state, plan, runtime, clock)
            yield from end_epoch(state, plan, runtime, clock)
        stop = bool(state.stopped) or runtime.interrupted(state.step)
        if stop or due.epoch_end or runtime.save_due(state.step, plan.config.output.save_minutes):
            yield save(state, plan, runtime, clock)
            clock.go_on()
        if due.epoch_end:
            yield from epoch_over(state, plan, runtime, clock)
        if stop:
            break
    yield from profiled(runtime.profile.whole(), state, plan, epoch=None)
    complete = state.epochs_done == plan.config.training.epochs
    reason = state.stopped or ("complete" if complete else "interrupted")
    best, selects_on = state.selection, plan.selects_on
    yield Finished(
        state.step, state.epochs_done, reason, best.epoch, best.value, best.measure, selects_on, clock.running
    )


def train_batches(plan: Plan, runtime: Runtime, *, start: int) -> Iterator[Batch]:
    """Yield this process's share of every batch from step `start` to the run's end, on the device and augmented."""
    order, train = plan.order, plan.train
    steps = range(start, plan.total_steps)
    shares = (order.share(step, runtime.rank, runtime.world) for step in steps)
    batches = loaded(train, shares, plan.config.data, profile=runtime.profile)
    for step, pixels in zip(steps, batches, strict=True):
        samples = order.share(step, runtime.rank, runtime.world)
        images = runtime.put(pixels)
        with runtime.profile.span("resize"):
            images = train.fit(images)
        with runtime.profile.span("augmentation"):
            images = plan.augment(images, seed=plan.seed, epoch=order.epoch(step), samples=samples)
        yield Batch(images, runtime.put(train.labels(samples)), samples, order.size(step))


def end_epoch(state: TrainState, plan: Plan, runtime: Runtime, clock: Clock) -> Events:
    """Evaluate, choose, save the model under the epoch's number, and begin the next epoch in `state`.

    Interrupted while it evaluates, it leaves `state` as it was: a resume evaluates again.
    """
    for model in (state.model, state.average.model):
        runtime.share_buffers(model)
    train_loss = Sums(runtime.total(state.epoch.values)).means()[0]
    passes: dict[str, tuple[Scores, float]] = {}
    for split in plan.evaluations:
        began = time.perf_counter()
        with runtime.profile.span(f"{split} pass"):
            scores = yield from _evaluated(state, plan, runtime, split)
        if scores is None:
            return
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
        before = state.plateau.factor
        schedule = plan.config.schedule
        state.plateau = state.plateau.updated(value, patience=schedule.plateau, drop=schedule.plateau_factor)
        if state.plateau.factor != before:
            yield Noted(state.step, f"No improvement for {schedule.plateau} epochs: the learning rate drops to "
                        f"{plan.learning_rate(state.step) * state.plateau.factor:.3g}.")  # fmt: skip
        limits = plan.config.training
        state.stopped = state.selection.stop_reason(limits.patience, limits.overfit_patience)
    for split, (scores, seconds) in passes.items():
        selects = split == plan.selects_on
        yield Evaluated(state.step, epoch, split, scores, selects, selects and improved, seconds)
    state.epochs_done = epoch
    if runtime.is_main:
        with runtime.profile.span("saving"):
            saved = [*save_epoch(state, plan, {split: found[0] for split, found in passes.items()}, improved=improved)]
        clock.saving += sum(event.seconds for event in saved)
        yield from saved
    state.epoch, state.seconds, state.waited = Sums.zeros(runtime.device), 0.0, 0.0


def _evaluated(state: TrainState, plan: Plan, runtime: Runtime, split: str) -> Generator[Progress, None, Scores | None]:
    """Yield signs of life; return the scores of a split, None if told to stop meanwhile."""
    prepared = plan.evaluations[split]
    passing = evaluate(
        state.average.model, prepared, plan.preprocess, runtime, data=plan.config.data, batch_size=plan.eval_batch_size
    )
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


def started(state: TrainState, plan: Plan, runtime: Runtime) -> Started:
    """Return the first event: what will run, and what became of one batch on the whole way."""
    with runtime.profile.span("preflight"):
        check = preflight(state, plan, runtime)
    return Started(
        directory=plan.directory,
        step=state.step,
        steps_per_epoch=plan.order.steps_per_epoch,
        epochs=plan.config.training.epochs,
        classes=plan.classes,
        facts=(*plan.facts, ("device", runtime.in_words())),
        shapes=check.shapes,
        first_batch=check.pictures,
        first_labels=check.labels,
        selects_on=plan.selects_on,
        waits_for=plan.waits_for,
    )


def save(state: TrainState, plan: Plan, runtime: Runtime, clock: Clock) -> Saved:
    """Save the exact state."""
    with runtime.profile.span("saving"):
        saved = save_state(state, plan, runtime)
    clock.saving += saved.seconds
    return saved


def epoch_over(state: TrainState, plan: Plan, runtime: Runtime, clock: Clock) -> Events:
    """Tell what the epoch took, unless its evaluation was broken off, and begin to count the next."""
    if state.step == state.epochs_done * plan.order.steps_per_epoch:
        yield EpochOver(state.step, state.epochs_done, clock.whole, clock.saving)
        yield from profiled(runtime.profile.lap(), state, plan, epoch=state.epochs_done)
    clock.new_epoch()


def profiled(lap: Lap | None, state: TrainState, plan: Plan, *, epoch: int | None) -> Iterator[Profiled]:
    """Tell where the time of a lap went, if it was measured."""
    if lap is not None:
        yield Profiled(state.step, epoch, lap.seconds, lap.shares, plan.directory / TRACE, lap.dropped)


def record(state: TrainState, plan: Plan, runtime: Runtime) -> Trained:
    """Return the loss since the last record and begin a new one. Raises `TrainingError` if it is not finite."""
    loss, _, samples = Sums(runtime.total(state.window.values)).means()
    rate = plan.learning_rate(state.step - 1) * state.plateau.factor
    epoch = plan.order.epoch(state.step - 1) + 1
    if not math.isfinite(loss):
        raise diverged(state.step, f"the training loss is {loss} (epoch {epoch}, learning rate {rate:g})")
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
        lr=plan.learning_rate(state.step - 1) * state.plateau.factor,
        seconds=clock.seconds,
        images_per_second=samples / clock.seconds,
        waiting=clock.waiting,
    )
