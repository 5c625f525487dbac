"""Goes back to the last saved state with a changed setting, after a fault that another try may avoid."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from eyas.device.choice import first_line, is_out_of_memory
from eyas.device.runtime import Runtime
from eyas.errors import DivergedError, EyasError, OutOfMemoryError, TrainingError
from eyas.files.system import give_back_memory
from eyas.files.tensors import read_tensors, write_tensors
from eyas.training.checkpoint import EARLIER, STATE, newest_state, state_header
from eyas.training.events import Noted
from eyas.training.state import RETRIES, TrainState

if TYPE_CHECKING:
    from eyas.training.plan import Plan

Start: TypeAlias = tuple[dict[str, Tensor], dict[str, Any]]  # a state's tensors and its header


def go_back(plan: Plan, runtime: Runtime, fault: TrainingError) -> None:
    """Make the state that a resume goes on from another one, so that it need not end in `fault` again; or raise it.

    After a loss that was not finite the learning rate is halved, at most five times and only with --on-nan rollback;
    a state that led to one twice is not tried a third time, but the one before it. Where memory ran out each batch is
    computed in twice as many parts, as long as a part has two images; before that, a GPU that keeps the sets' images
    gives them up. What was said of the fault is written into the state, and told by whoever goes on. Only where one
    process trains: several cannot know that all have failed.
    """
    if runtime.world > 1:
        raise fault
    match fault:
        case DivergedError() if plan.config.training.on_nan == "rollback":
            tensors, header = _other_start(plan, runtime, fault)
            _let_go(fault, runtime)
            went_back = {"to": header["state"]["step"], "said": _first_sentence(fault)}
            header["state"]["diverged"] = [*header["state"]["diverged"], went_back]
        case OutOfMemoryError() if runtime.keeps_pixels:
            _let_go(fault, runtime)
            runtime.keeps_pixels = False
            runtime.note(f"{_first_sentence(fault)} The images are not kept in the memory of the GPU any more.")
            return
        case OutOfMemoryError():
            _let_go(fault, runtime)
            tensors, header = _newest(plan, runtime)
            said = [*header["state"]["short_of_memory"], _first_sentence(fault)]
            if plan.config.training.accumulate * 2 ** len(said) > plan.order.size(0) // 2:
                raise fault
            header["state"]["short_of_memory"] = said
        case _:
            raise fault
    # in its place: if this file is damaged, the state before it is an older one
    write_tensors(plan.directory / STATE, "state", tensors, header)


@contextmanager
def memory_in_words(directory: Path) -> Iterator[None]:
    """Raise `OutOfMemoryError` where memory runs out inside, while a run in `directory` is trained."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"The memory ran out ({first_line(error).partition('. ')[0]}). What was saved in {directory} is whole. "
            "Begin again with a smaller --batch-size or a smaller network, or give --accumulate 4, which computes the "
            "same steps in parts."
        ) from error


def _other_start(plan: Plan, runtime: Runtime, fault: DivergedError) -> Start:
    """Return the newest state that no try has begun at, or the run's beginning where little is lost by it."""
    newest = _newest(plan, runtime)
    now = newest[1]["state"]
    if len(now["diverged"]) >= RETRIES:
        raise fault
    tried = {went_back["to"] for went_back in now["diverged"]}
    if now["step"] not in tried:
        return newest
    before, best = _state_in(plan.directory / EARLIER), now["selection"]["epoch"] or 0
    # the best epoch's file stays, so a state that has not come to it yet would not know its own best
    if before is not None and before[1]["state"]["step"] not in tried and best <= before[1]["state"]["epochs_done"]:
        start = before
    elif now["epochs_done"] <= 1:
        start = _beginning(plan, runtime)
    else:
        raise fault
    start[1]["state"] |= {entry: now[entry] for entry in ("diverged", "short_of_memory")}
    return start


def _newest(plan: Plan, runtime: Runtime) -> Start:
    found = newest_state(plan.directory)
    return _beginning(plan, runtime) if found is None else (found[0], _own(found[1]))


def _state_in(path: Path) -> Start | None:
    try:
        tensors, header = read_tensors(path, "state")
    except EyasError:  # not there, or damaged
        return None
    return tensors, _own(header)


def _beginning(plan: Plan, runtime: Runtime) -> Start:
    """Return what a run begins with: a state like any other."""
    tensors, plain = TrainState.fresh(plan, runtime).saved()
    return tensors, state_header(plain, plan, runtime)


def _own(header: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of a header that are a state's, not its file's."""
    return {name: value for name, value in header.items() if name not in ("format", "kind")}


def _first_sentence(fault: TrainingError) -> str:
    return str(fault).split(". ")[0] + "."


def retry_notes(state: TrainState, plan: Plan) -> Iterator[Noted]:
    """Yield what became of the faults that this state went back for."""
    for went_back in state.diverged:
        said = f"Went back to the state after step {went_back['to']}: {went_back['said']}"
        yield Noted(state.step, said, warning=True)
    if state.diverged:
        yield Noted(state.step, f"The learning rate is {0.5 ** len(state.diverged):g} of the schedule's since then.")
    if state.short_of_memory:
        parts, size = state.parts(plan), plan.order.size(0)
        yield Noted(
            state.step,
            f"{state.short_of_memory[-1]} Each batch of {size} is now computed in {parts} parts: the same steps, but a "
            f"batch normalisation sees {size // parts} images at once. --accumulate {parts} begins so.",
            warning=True,
        )


def _let_go(fault: BaseException, runtime: Runtime) -> None:
    """Let go of what the frames of a failure hold: the model and the optimiser of the training that it ended."""
    error: BaseException | None = fault
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
    runtime.forget_compiled()
    gc.collect()
    give_back_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
