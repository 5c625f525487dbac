"""Chooses memory format and compilation by measuring real steps: what `auto` means."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from eyas.config.training import DeviceConfig
from eyas.data.pipeline import Batch
from eyas.device.choice import first_line, is_out_of_memory
from eyas.device.runtime import Runtime
from eyas.training.state import TrainState
from eyas.training.step import train_step

if TYPE_CHECKING:
    from eyas.training.plan import Plan

STEPS = 1000  # a shorter run is not worth measuring for
COMPILED = 600.0  # seconds of a run from which compiling may pay
_TIMED = 2  # steps that are timed after the first, which also allocates and compiles
_MARGIN = 0.97  # what is not faster by this is not worth another order of additions


def tune(plan: Plan, runtime: Runtime) -> tuple[DeviceConfig, str]:
    """Return the device's settings with `auto` replaced by on or off, and what was measured in words ("" if nothing).

    Real steps on one batch of the run are timed both ways; the choice is the run's shortest expected time, the first
    step (which may compile) included. It is written into the run's config.toml: a resume measures nothing.
    """
    off = {name: "off" for name in ("compile", "channels_last") if getattr(runtime.config, name) == "auto"}
    settled = runtime.config.model_copy(update=off)  # where nothing is measured
    asked = (runtime.config.channels_last, runtime.config.compile)
    if plan.total_steps < STEPS or "auto" not in asked or runtime.config.deterministic:
        return settled, ""
    plan = replace(plan, loss=plan.loss.placed(runtime.device))
    expected: dict[str, tuple[float, DeviceConfig]] = {}
    dropped = ""
    for name, config in _candidates(runtime.config, settled, runtime.device.type):
        # one clock for all processes: two that disagree would wait for each other for ever
        shortest = runtime.agreed(min((seconds for seconds, _ in expected.values()), default=0.0))
        if config.compile != settled.compile and (dropped or shortest < COMPILED):
            continue
        tried = _tried(plan, runtime, config)
        if runtime.any(not isinstance(tried, tuple)):
            if config.compile == settled.compile:
                return settled, ""  # the training finds out by itself in how many parts a batch has room
            dropped = f"; not compiled: {tried}" if isinstance(tried, str) else "; not compiled"
        elif isinstance(tried, tuple):
            expected[name] = tried[0] + tried[1] * plan.total_steps, config
    before = next(iter(expected))
    best = min(expected, key=lambda name: expected[name][0])
    if expected[best][0] > _MARGIN * expected[before][0]:
        best = before
    best = list(expected)[int(runtime.agreed(list(expected).index(best)))]
    steps = ", ".join(f"{name} {1000 * seconds / plan.total_steps:.3g}" for name, (seconds, _) in expected.items())
    return expected[best][1], f"{best} (milliseconds per step as measured: {steps}{dropped})"


def _tried(plan: Plan, runtime: Runtime, config: DeviceConfig) -> tuple[float, float] | str:
    """Return what `_measured` gives with these settings, or why there is nothing to measure: no memory, no compiler."""
    usual, runtime.config = runtime.config, config
    try:
        return _measured(plan, runtime)
    except Exception as error:  # of a compiler, any kind
        if not (is_out_of_memory(error) or config.compile == "on"):
            raise
        return first_line(error)
    finally:
        runtime.config = usual
        if config.compile == "on":
            runtime.forget_compiled()


def _candidates(asked: DeviceConfig, settled: DeviceConfig, device: str) -> Iterator[tuple[str, DeviceConfig]]:
    """Yield (name, settings) in the order to try them; on a CPU compiling never gained (docs/why.md)."""
    orders = {"auto": ("off", "on")}.get(asked.channels_last, (asked.channels_last,))
    compiled = ("off", "on") if asked.compile == "auto" and device == "cuda" else (settled.compile,)
    for compile_ in compiled:
        for order in orders:
            name = "channels-last" if order == "on" else "channels-first"
            yield (
                f"{name}, compiled" if compile_ == "on" else name,
                settled.model_copy(update={"channels_last": order, "compile": compile_}),
            )


def _measured(plan: Plan, runtime: Runtime) -> tuple[float, float]:
    """Return the seconds of the first step and of a later one, on a state that is thrown away."""
    state = TrainState.fresh(plan, runtime)
    network = runtime.compiled(state.model, parts=state.parts(plan))  # each process alone: what differs is computing
    samples = plan.order.share(0, runtime.rank, runtime.world)
    images = runtime.put(plan.pipeline.varied(plan.train.read(samples), samples, plan.config.training.epochs))
    batch = Batch(images, runtime.put(plan.train.labels(samples)), samples, plan.order.size(0))
    seconds = []
    for _ in range(1 + _TIMED):
        began = time.perf_counter()
        train_step(state, network, batch, plan, runtime)
        runtime.settle()
        seconds.append(time.perf_counter() - began)
    return seconds[0], min(seconds[1:])
