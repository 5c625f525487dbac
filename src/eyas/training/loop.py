"""The training loop: steps, and what happens where the calendar says so."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from eyas.config.run_config import plain_settings
from eyas.data.pipeline import loaded
from eyas.device.clock import Clock
from eyas.device.profile import Lap
from eyas.device.runtime import Runtime
from eyas.device.trace import TRACE
from eyas.evaluation.one_pass import evaluate
from eyas.evaluation.scores import Scores
from eyas.training.checkpoint import EpochDone, restore
from eyas.training.events import (
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
from eyas.training.fingerprint import software
from eyas.training.finite import check_window, diverged
from eyas.training.preflight import pictured, preflight
from eyas.training.rollback import told
from eyas.training.saving import Saver
from eyas.training.state import Sums, TrainState
from eyas.training.step import Batch, train_step
from eyas.training.weighing import weighed

if TYPE_CHECKING:
    from eyas.training.plan import Plan

Events: TypeAlias = Generator[Event, None, None]


def fit(plan: Plan, runtime: Runtime) -> Events:
    """Train to the end of `plan`, yielding an event for everything worth recording.

    Goes on by itself where the run folder holds a state. The caller writes the events where it likes; it cannot reach
    the state, so no observer can change a result. Every process must drain the generator, or close it.
    """
    with Saver(plan, runtime) as saver:  # however the training ends, what was being written becomes whole
        yield from _train(plan, runtime, saver)


def _train(plan: Plan, runtime: Runtime, saver: Saver) -> Events:
    plan = plan.placed(runtime)
    state = TrainState.fresh(plan, runtime)
    notes = [*restore(state, plan, runtime), *told(state, plan)]  # no state saved: leaves the fresh one as it is
    network = runtime.compiled(state.model, parts=state.parts(plan))
    yield started(state, network, plan, runtime)
    yield from notes
    yield from noted(state, runtime)
    runtime.profile.lap()  # what was before belongs to no epoch
    network = runtime.joined(network)
    clock = Clock(state.seconds, state.waited)
    if state.step > state.epochs_done * plan.order.steps_per_epoch and plan.due(state.step).epoch_end:
        done = yield from end_epoch(state, plan, runtime)  # was cut off between an epoch's last step and its evaluation
        yield from saved(state, done, saver, runtime, clock)
        yield from epoch_over(state, plan, runtime, clock)
    clock.go_on()
    start = plan.total_steps if state.stopped or runtime.interrupted(state.step) else state.step
    batches = runtime.profile.each("waiting for data", train_batches(plan, runtime, start=start))
    for batch in clock.timed(batches):
        with runtime.profile.span("step", step=state.step + 1, epoch=plan.order.epoch(state.step) + 1):
            gradients = train_step(state, network, batch, plan, runtime)
        if plan.due(state.step).epoch_end:
            runtime.settle()  # a GPU still computes what it was given: the epoch's seconds are those of its work
        clock.step_done(batch.size)
        state.seconds, state.waited = clock.seconds, clock.waited
        yield from saver.step_done(state)
        yield from noted(state, runtime)
        due, done = plan.due(state.step), None
        if due.log:
            yield record(state, plan, runtime)
        elif clock.rate and clock.tick():
            yield Progress(state.step, state.window.means()[0], clock.rate, clock.waiting)
        if due.epoch_end:
            yield record_epoch(state, plan, runtime, clock)
            yield from weighed(state, gradients, plan, runtime)
            done = yield from end_epoch(state, plan, runtime)
        stop = bool(state.stopped) or runtime.interrupted(state.step)
        if stop or due.epoch_end or runtime.save_due(state.step, plan.config.output.save_minutes):
            yield from saved(state, done, saver, runtime, clock)
            clock.go_on()
        if due.epoch_end:
            yield from epoch_over(state, plan, runtime, clock)
        if stop:
            break
    yield from saver.wait()
    runtime.wait_for_all()
    yield from profiled(runtime.profile.whole(), state, plan, epoch=None)
    complete = state.epochs_done == plan.config.training.epochs
    reason = state.stopped or ("complete" if complete else "interrupted")
    best, selects_on = state.selection, plan.selects_on
    yield Finished(
        state.step, state.epochs_done, reason, best.epoch, best.value, best.measure, selects_on, clock.running
    )


def noted(state: TrainState, runtime: Runtime) -> Iterator[Noted]:
    """Yield what the runtime was told to say meanwhile."""
    yield from (Noted(state.step, said, warning=True) for said in runtime.noted())


def train_batches(plan: Plan, runtime: Runtime, *, start: int) -> Iterator[Batch]:
    """Yield this process's share of every batch from step `start` to the run's end, on the device and augmented."""
    order, train = plan.order, plan.train
    steps = range(start, plan.total_steps)
    wanted = order.shares(steps, runtime.rank, runtime.world)
    read = loaded(train, wanted, plan.config.data, change=plan.change, profile=runtime.profile, tell=runtime.note)
    for step, (samples, pixels) in zip(steps, runtime.moved(read), strict=True):
        with runtime.profile.span("resize"):
            images = plan.fitted(pixels, samples, order.epoch(step))
        with runtime.profile.span("augmentation"):
            images = plan.augmented(images, samples, order.epoch(step))
        yield Batch(images, runtime.put(train.labels(samples)), samples, order.size(step))


def end_epoch(state: TrainState, plan: Plan, runtime: Runtime) -> Generator[Event, None, EpochDone | None]:
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
            scores = yield from _evaluated(state, plan, runtime, split)
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


def _evaluated(state: TrainState, plan: Plan, runtime: Runtime, split: str) -> Generator[Progress, None, Scores | None]:
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


def saved(state: TrainState, done: EpochDone | None, saver: Saver, runtime: Runtime, clock: Clock) -> tuple[Saved, ...]:
    """Hand the state to the saver, and return what came to the disk meanwhile."""
    began = time.perf_counter()
    with runtime.profile.span("saving"):
        earlier = tuple(saver.save(state, done))
    clock.saving += time.perf_counter() - began
    return earlier


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
