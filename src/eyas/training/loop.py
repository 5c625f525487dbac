"""The training loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from eyas.data.pipeline import Batch
from eyas.device.clock import Clock
from eyas.device.runtime import Runtime
from eyas.training.checkpoint import restore
from eyas.training.epoch import Events, end_epoch, saved
from eyas.training.events import Progress
from eyas.training.records import ended, loss_record, noted, record_epoch, started, weighed
from eyas.training.rollback import retry_notes
from eyas.training.saving import Saver
from eyas.training.state import TrainState
from eyas.training.step import train_step

if TYPE_CHECKING:
    from eyas.training.plan import Plan


def fit(plan: Plan, runtime: Runtime) -> Events:
    """Train to the end of `plan`, yielding an event for everything worth recording (`eyas.training.events`).

    If the run folder contains a saved state, training continues from it. Events cannot reach the training state, so
    what the caller does with them does not affect results. Every process must exhaust the generator, or close it.
    """
    with Saver(plan, runtime) as saver:  # however the training ends, what was being written becomes whole
        plan = plan.placed(runtime)
        state = TrainState.fresh(plan, runtime)
        notes = [*restore(state, plan, runtime), *retry_notes(state, plan)]  # without a saved state it stays fresh
        network = runtime.compiled(state.model, parts=state.parts(plan))
        yield started(state, network, plan, runtime)
        yield from (*notes, *noted(state, runtime))
        network, clock = runtime.joined(network), Clock(state.seconds, state.waited)
        runtime.profile.lap()  # what was before belongs to no epoch
        if plan.due(state.step).epoch_end and state.step > state.epochs_done * plan.order.steps_per_epoch:
            yield from end_epoch(state, plan, runtime, saver, clock)  # was interrupted in its evaluation
        start = plan.total_steps if state.stopped or runtime.interrupted(state.step) else state.step
        clock.go_on()
        for batch in clock.timed(runtime.profile.each("waiting for data", train_batches(plan, runtime, start=start))):
            with runtime.profile.span("step", step=state.step + 1, epoch=plan.order.epoch(state.step) + 1):
                gradients = train_step(state, network, batch, plan, runtime)
            due = plan.due(state.step)
            if due.epoch_end:
                runtime.settle()  # a GPU still computes what it was given: the epoch's seconds are those of its work
            clock.step_done(batch.size)
            yield from saver.step_done(state)
            yield from noted(state, runtime)
            if due.log:
                yield loss_record(state, plan, runtime)
            elif clock.rate and clock.tick():
                yield Progress(state.step, state.window.means()[0], clock.rate, clock.waiting)
            if due.epoch_end:
                yield record_epoch(state, plan, runtime, clock)
                yield from weighed(state, gradients, plan, runtime)
                yield from end_epoch(state, plan, runtime, saver, clock)
            stop = bool(state.stopped) or runtime.interrupted(state.step)
            if not due.epoch_end and (stop or runtime.save_due(state.step, plan.config.output.save_minutes)):
                yield from saved(state, None, saver, runtime, clock)
            if stop:
                break
        yield from saver.wait()
        runtime.wait_for_all()
        yield from ended(state, plan, runtime, clock)


def train_batches(plan: Plan, runtime: Runtime, *, start: int) -> Iterator[Batch]:
    """Return this process's part of every batch from step `start` to the end, augmented and on the device."""
    return plan.pipeline.batches(plan.order, range(start, plan.total_steps), plan.config.data, runtime)
