"""What the loop tells its observers: the events of the start, of a stretch of steps, of an epoch, of the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from eyas.config.run_config import plain_settings
from eyas.device.clock import Clock
from eyas.device.profile import Lap
from eyas.device.runtime import Runtime
from eyas.device.trace import TRACE
from eyas.training.events import EpochTrained, Finished, Noted, Profiled, Started, Trained
from eyas.training.fingerprint import software
from eyas.training.finite import check_window
from eyas.training.preflight import drawn, pictured, preflight
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
        graph=drawn(state, plan) if runtime.is_main else b"",
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
