"""The files of a run that carry weights: the exact state, and a model after every epoch."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from eyas.device.runtime import Runtime
from eyas.errors import CheckpointError, SettingsError
from eyas.evaluation.measures import ONCE, numbers_of
from eyas.evaluation.scores import Scores
from eyas.files.atomic import CONFIG, PREDICTIONS, link, make_folder
from eyas.files.pathnames import last_part
from eyas.files.tensors import read_tensors, write_tensors
from eyas.model.classifier import model_header
from eyas.training.events import Noted, Saved
from eyas.training.fingerprint import changed_files, changed_samples, changes
from eyas.training.finite import diverged
from eyas.training.state import Snapshot, TrainState, measured_model

if TYPE_CHECKING:
    from eyas.training.plan import Plan

KINDS = {"step": int, "epochs_done": int, "seconds": int | float, "waited": int | float, "stopped": str}
STATE, EARLIER = "state.safetensors", "state-earlier.safetensors"
SHOWN = 10  # changed files named in a message; the rest is counted
_EPOCH = re.compile(r"epoch-\d+\.safetensors")


def newest_state(directory: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], tuple[str, ...]] | None:
    """Return (tensors, header, notes) of the newest state that verifies, None where none was ever saved.

    A damaged newest file is named in the notes and the one before it is used; if none is whole: `CheckpointError`.
    """
    damaged: list[str] = []
    for name in (STATE, EARLIER):
        if not (directory / name).exists():
            continue
        try:
            tensors, header = read_tensors(directory / name, "state")
            _refuse_foreign(header, directory / name)
            return tensors, header, tuple(damaged)
        except CheckpointError as error:
            damaged.append(f"{error} The state saved before it is used.")
    if damaged:
        raise CheckpointError(f"{directory}: no saved state is whole. {damaged[0].split(' The state')[0]}")
    return None


def _refuse_foreign(header: dict[str, Any], path: Path) -> None:
    """Raise `CheckpointError` where a header is not one that a run writes."""
    plain = all(isinstance(header.get(part), dict) for part in ("state", "fingerprint", "environment"))
    if not plain or header["state"].keys() != {field.name for field in fields(TrainState)}:
        raise CheckpointError(f"{path}: its header does not say what the state of a run is.")
    if wrong := [name for name, kind in KINDS.items() if not isinstance(header["state"][name], kind)]:
        raise CheckpointError(f"{path}: its header has no usable {wrong[0]!r}.")


def saved_header(directory: Path) -> dict[str, Any] | None:
    """Return the header of the newest state that verifies, None where none was ever saved. Keeps no tensors."""
    found = newest_state(directory)
    return None if found is None else found[1]


def restore(state: TrainState, plan: Plan, runtime: Runtime) -> Iterator[Noted]:
    """Make `state` the newest one saved in the run folder, if there is one; yield what the user should know.

    Raises `SettingsError` if what the results depend on changed since, naming what.
    """
    found = newest_state(plan.directory)
    if found is None:
        return
    tensors, header, notes = found
    check_unchanged(header, plan)
    try:
        state.load(tensors, header["state"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[-1].strip()
        raise CheckpointError(f"{plan.directory}: the saved state is none of this run ({reason}).") from error
    state.stopped = ""  # to go on was asked for
    yield from (Noted(state.step, note, warning=True) for note in notes)
    for what, then in header["environment"].items():
        if (now := environment(runtime).get(what, "unknown")) != then:
            yield Noted(
                state.step, f"Resumed with {what} {now} instead of {then}: right, but not to the last bit.", True
            )


def check_unchanged(header: dict[str, Any], plan: Plan) -> None:
    """Raise `SettingsError` if what the results depend on changed since a state was saved, naming what."""
    then, now = header["fingerprint"], plan.fingerprint
    data = [name for name in now if name.endswith(" data") and name in then and then[name] != now[name]]
    lines = changes(then, now, plan.allowed_changes | set(data))
    own = [line for line in lines if not line.startswith(("  classes:", "  selects on:")) and " data:" not in line]
    remedies = []
    if data or any(" data:" in line for line in lines):  # and what follows from the images
        lines = [*changed_samples(plan, data), *lines]
        remedies.append(
            "Put the images back as they were (--train PATH and the like say where they were moved to), or train a new "
            f"run on those there are now, from this run's weights: eyas train --config {plan.directory / CONFIG} "
            f"--weights {plan.directory}"
        )
    if own or not remedies:
        remedies.append("Put the settings back as they were, or begin a new run with `eyas train`.")
    if any(line.startswith("  epochs:") for line in lines):
        remedies.append("Another number of epochs under a schedule that ends with the run: --stretch-schedule.")
    if lines:
        raise SettingsError(
            "\n".join((f"{plan.directory}: cannot go on, since this changed after it was saved:", *lines, *remedies))
        )
    if "files" not in plan.allowed_changes:
        _check_files(header.get("newest", {}), plan)


def _check_files(then: dict[str, int], plan: Plan) -> None:
    """Raise `SettingsError` naming images whose files changed since a state was saved, though not in size."""
    others = {split: prepared.images for split, prepared in plan.evaluations.items()}
    places = changed_files(then, plan.train.images, others)
    if places:
        more = f"\n  ... and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
        raise SettingsError(
            f"{plan.directory}: cannot go on, since {len(places)} image file(s) changed since the run was saved:\n  "
            + "\n  ".join(places[:SHOWN])
            + f"{more}\nPut them back as they were, or begin a new run with `eyas train`. If their pictures are the "
            "same, or shall be used as they are now: --changed-files."
        )


def environment(runtime: Runtime) -> dict[str, str]:
    """Return what may change the last bits of a result but not its meaning."""
    return {
        "torch": torch.__version__,
        "device": runtime.device.type,
        "processes": str(runtime.world),
        "threads": str(torch.get_num_threads()),
    }


@dataclass(frozen=True, slots=True)
class EpochDone:
    """An epoch was trained and measured: its model is to be saved."""

    scores: dict[str, Scores]  # by split
    improved: bool  # the best so far


@dataclass(frozen=True, slots=True)
class EpochFile:
    """What a model file says, and what becomes of the files beside it."""

    number: int
    header: dict[str, Any]
    improved: bool
    keep: int  # of the newest epochs' files; 0: all
    answers: dict[str, Tensor]  # "SPLIT/predicted", "SPLIT/labels" int32 [N], "SPLIT/logits" float32 [N, C]
    samples: dict[str, str]  # by split: which samples they are


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What one save writes: the values of one moment."""

    step: int
    directory: Path
    tensors: dict[str, Tensor]  # as `TrainState.saved` names them, on the host
    header: dict[str, Any]
    epoch: EpochFile | None


def checkpoint_of(
    state: TrainState, snapshot: Snapshot, done: EpochDone | None, plan: Plan, runtime: Runtime
) -> Checkpoint:
    """Return what is to be saved of `state` as it is now, its tensors copied into `snapshot`."""
    tensors, plain = state.saved()
    header = state_header(plain, plan, runtime)
    epoch = None
    if done is not None:
        facts = _facts(state, plan, done.scores)
        model = model_header(plan.config.model.model, plan.classes, plan.preprocess, facts)
        answers, samples = _answers(done.scores, plan)
        epoch = EpochFile(state.epochs_done, model, done.improved, plan.config.output.keep, answers, samples)
    return Checkpoint(state.step, plan.directory, snapshot.take(tensors), header, epoch)


def state_header(plain: dict[str, Any], plan: Plan, runtime: Runtime) -> dict[str, Any]:
    """Return what a state's file says beside its tensors; `plain` as `TrainState.saved` gives it."""
    about = {"fingerprint": plan.fingerprint, "newest": plan.newest, "environment": environment(runtime)}
    return {"state": plain, **about}


def write_checkpoint(checkpoint: Checkpoint, seconds: float) -> tuple[Saved, ...]:
    """Write it: the epoch's model and its names first, then the state. `seconds` is what the training paused for it.

    Each file is whole or not there, in this order, so that a state never says more than the models beside it.
    Raises `FileError` where the disk refuses, `DivergedError` before anything is written if a number is not finite.
    """
    broken = next((name for name, tensor in checkpoint.tensors.items() if not _is_finite(tensor)), None)
    if broken is not None:
        raise diverged(checkpoint.step, f"{broken} holds numbers that are not finite")
    saved = [] if checkpoint.epoch is None else _write_epoch(checkpoint, checkpoint.epoch)
    path = checkpoint.directory / STATE
    if path.exists():
        link(path, checkpoint.directory / EARLIER)
    write_tensors(path, "state", checkpoint.tensors, checkpoint.header)
    return *saved, Saved(checkpoint.step, path, "state", seconds)


def _write_epoch(checkpoint: Checkpoint, epoch: EpochFile) -> list[Saved]:
    """Write the model under the epoch's number; `last` and, if it is, `best` become names of it."""
    path = checkpoint.directory / "epochs" / f"epoch-{epoch.number:03d}.safetensors"
    make_folder(path.parent)
    write_tensors(path, "model", measured_model(checkpoint.tensors), epoch.header)
    link(path, checkpoint.directory / "last.safetensors")
    saved = [Saved(checkpoint.step, path, "epoch", 0.0)]
    if epoch.improved:
        about = {"epoch": epoch.number, "classes": epoch.header["classes"], "samples": epoch.samples}
        write_tensors(checkpoint.directory / PREDICTIONS, "predictions", epoch.answers, about)
        link(path, checkpoint.directory / "best.safetensors")
        saved.append(Saved(checkpoint.step, checkpoint.directory / "best.safetensors", "best", 0.0))
    if epoch.keep:
        ours = (old for old in path.parent.iterdir() if _EPOCH.fullmatch(old.name))
        for old in sorted(ours, key=_number)[: -epoch.keep]:
            with contextlib.suppress(OSError):  # no reason to end a run: it is tried again after the next epoch
                old.unlink()
    return saved


def _answers(scores: dict[str, Scores], plan: Plan) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return what was answered for every sample of every split, and by split which samples those are."""
    answers: dict[str, Tensor] = {}
    for split, score in scores.items():
        answers[f"{split}/predicted"] = torch.from_numpy(score.predicted)
        answers[f"{split}/labels"] = torch.from_numpy(score.targets)
        if score.logits is not None:
            answers[f"{split}/logits"] = torch.from_numpy(score.logits)
    return answers, {split: str(plan.fingerprint[f"{split} data"]) for split in scores}


def _is_finite(tensor: Tensor) -> bool:
    """Return whether all numbers of a dense tensor are finite.

    By numpy and in parts, in one thread and little memory: torch would take the threads that the training needs.
    """
    if not tensor.is_floating_point():
        return True
    numbers = tensor.as_strided((tensor.numel(),), (1,))
    numbers = numbers.float() if tensor.dtype == torch.bfloat16 else numbers  # numpy knows no bfloat16
    return all(bool(np.isfinite(part.numpy()).all()) for part in torch.split(numbers, 2**18))


def _number(path: Path) -> int:
    """Return the epoch in a file's name; beyond 999 the names do not sort by themselves."""
    return int(path.stem.removeprefix("epoch-"))


def _facts(state: TrainState, plan: Plan, scores: dict[str, Scores]) -> dict[str, Any]:
    """Return what a model file says of how it came about: values that depend on nothing but the run's settings."""
    return {
        "epoch": state.epochs_done,
        "step": state.step,
        "select": plan.config.training.select,
        "selects_on": plan.selects_on,
        "seed": plan.seed,
        "train": {"source": last_part(plan.train.images.source), "count": len(plan.train)},
        "scores": {
            split: {
                "source": last_part(plan.evaluations[split].images.source),
                **numbers_of(score, ONCE),
            }
            for split, score in scores.items()
        },
    }
