"""The files of a run that carry weights: the exact state, and a model after every epoch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from eyas.errors import CheckpointError, SettingsError, TrainingError
from eyas.events import Noted, Saved
from eyas.files import link
from eyas.metrics import Scores
from eyas.model.classifier import Classifier
from eyas.tensorfile import read_tensors, write_tensors
from eyas.training.runtime import Runtime
from eyas.training.state import TrainState

if TYPE_CHECKING:
    from eyas.plan import Plan

STATE, EARLIER = "state.safetensors", "state-earlier.safetensors"


def newest_state(directory: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], tuple[str, ...]] | None:
    """Return (tensors, header, notes) of the newest state that verifies, None where none was ever saved.

    A damaged newest file is named in the notes and the one before it is used; if none is whole: `CheckpointError`.
    """
    damaged: list[str] = []
    for name in (STATE, EARLIER):
        if not (directory / name).exists():
            continue
        try:
            return *read_tensors(directory / name, "state"), tuple(damaged)
        except CheckpointError as error:
            damaged.append(f"{error} The state saved before it is used.")
    if damaged:
        raise CheckpointError(f"{directory}: no saved state is whole. {damaged[0].split(' The state')[0]}")
    return None


def restore(state: TrainState, plan: Plan, runtime: Runtime) -> Iterator[Noted]:
    """Make `state` the newest one saved in the run folder, if there is one; yield what the user should know.

    Raises `SettingsError` if what the results depend on changed since, naming what.
    """
    found = newest_state(plan.directory)
    if found is None:
        return
    tensors, header, notes = found
    changed = changes(header["fingerprint"], plan.fingerprint, plan.allowed_changes)
    if changed:
        raise SettingsError(
            f"{plan.directory}: cannot go on, since this changed after it was saved:\n"
            + "\n".join(changed)
            + "\nPut it back as it was, or begin a new run with `eyas train`. (Another number of epochs under a "
            "schedule that ends with the run: --stretch-schedule.)"
        )
    state.load(tensors, header["state"])
    state.stopped = ""  # to go on was asked for
    yield from (Noted(state.step, note, warning=True) for note in notes)
    for what, then in header["environment"].items():
        if (now := environment(runtime)[what]) != then:
            yield Noted(
                state.step, f"Resumed with {what} {now} instead of {then}: right, but not to the last bit.", True
            )


def changes(then: dict[str, Any], now: dict[str, Any], allowed: frozenset[str] = frozenset()) -> list[str]:
    """Return a line for every entry that differs between two fingerprints, but for the allowed ones."""
    keys = [key for key in dict.fromkeys([*then, *now]) if key not in allowed]
    return [f"  {key}: was {then.get(key)!r}, is {now.get(key)!r}" for key in keys if then.get(key) != now.get(key)]


def environment(runtime: Runtime) -> dict[str, str]:
    """Return what may change the last bits of a result but not its meaning."""
    return {
        "torch": torch.__version__,
        "device": runtime.device.type,
        "processes": str(runtime.world),
        "threads": str(torch.get_num_threads()),
    }


def save_state(state: TrainState, plan: Plan, runtime: Runtime) -> Saved:
    """Write the exact state, atomically, keeping the one before it. Every process calls it; the first one writes."""
    began = time.perf_counter()
    for sums in (state.window, state.epoch):  # what all have counted becomes the first one's
        total = runtime.total(sums.values)
        sums.values.copy_(total if runtime.is_main else torch.zeros_like(total))
    path = plan.directory / STATE
    if runtime.is_main:
        tensors, plain = state.saved()
        broken = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
        if broken is not None:
            raise diverged(state.step, f"{broken} holds numbers that are not finite")
        if path.exists():
            link(path, plan.directory / EARLIER)
        header = {"state": plain, "fingerprint": plan.fingerprint, "environment": environment(runtime)}
        write_tensors(path, "state", tensors, header)
    runtime.wait_for_all()
    runtime.saved()
    return Saved(state.step, path, "state", time.perf_counter() - began)


def diverged(step: int, what: str) -> TrainingError:
    """Return the error for numbers that ran away: nothing of them is ever saved."""
    return TrainingError(
        f"step {step}: {what}. Nothing was saved since it went wrong. "
        "Begin again with a lower --lr, with --clip-norm 1, or with another --precision."
    )


def save_epoch(state: TrainState, plan: Plan, scores: dict[str, Scores], *, improved: bool) -> Iterator[Saved]:
    """Write the model after an epoch under the epoch's number; `last` and, if it is, `best` become names of it."""
    began = time.perf_counter()
    epoch = state.epochs_done
    path = plan.directory / "epochs" / f"epoch-{epoch:03d}.safetensors"
    path.parent.mkdir(exist_ok=True)
    classifier = Classifier(
        state.average.model, plan.config.model.model, plan.classes, plan.preprocess, _facts(state, plan, scores)
    )
    classifier.save(path)
    link(path, plan.directory / "last.safetensors")
    yield Saved(state.step, path, "epoch", time.perf_counter() - began)
    if improved:
        link(path, plan.directory / "best.safetensors")
        yield Saved(state.step, plan.directory / "best.safetensors", "best", 0.0)
    if plan.config.output.keep:
        for old in sorted(path.parent.glob("epoch-*.safetensors"), key=_number)[: -plan.config.output.keep]:
            old.unlink()


def _number(path: Path) -> int:
    """Return the epoch in a file's name; beyond 999 the names do not sort by themselves."""
    return int(path.stem.removeprefix("epoch-"))


def _name(source: str) -> str:
    """Return a set's name without its folder: where it lay is nobody else's concern, and may change at a resume."""
    return source.rstrip("/").rsplit("/", 1)[-1]


def _facts(state: TrainState, plan: Plan, scores: dict[str, Scores]) -> dict[str, Any]:
    """Return what a model file says of how it came about: values that depend on nothing but the run's settings."""
    return {
        "epoch": state.epochs_done,
        "step": state.step,
        "select": plan.config.training.select,
        "selects_on": plan.selects_on,
        "seed": plan.seed,
        "train": {"source": _name(plan.train.images.source), "count": len(plan.train)},
        "scores": {
            split: {
                "source": _name(plan.evaluations[split].images.source),
                "count": score.count,
                "skipped": score.skipped,
                "correct": score.correct,
                "accuracy": score.accuracy,
                "interval": score.interval,
                "loss": score.loss,
                "macro_f1": score.macro_f1,
            }
            for split, score in scores.items()
        },
    }
