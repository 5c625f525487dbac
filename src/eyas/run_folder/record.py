"""A run folder read back: its settings, its table, what it said, and what its best model answered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eyas.config.run_config import RunConfig, make_config
from eyas.errors import CheckpointError, DataError
from eyas.evaluation.scores import Scores
from eyas.files import headers
from eyas.files.atomic import CONFIG, PREDICTIONS, model_file
from eyas.run_folder.origin import run_of
from eyas.sinks.jsonl import read_events
from eyas.sinks.table import read_table


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answered on one set. `samples` is the set's fingerprint: which samples they are, in which order."""

    classes: tuple[str, ...]
    samples: str
    targets: np.ndarray  # int32 [N]
    predicted: np.ndarray  # int32 [N]
    logits: np.ndarray | None  # float32 [N, C]


@dataclass(frozen=True, slots=True)
class Record:
    """A run. `header` is that of its best model's file; `scores` has a result for each set that was measured."""

    folder: Path
    header: dict[str, Any]
    config: RunConfig
    rows: tuple[dict[str, str], ...]  # of metrics.csv
    events: tuple[dict[str, Any], ...]  # of events.jsonl
    scores: dict[str, Scores]
    samples: dict[str, str]


def run_folder(run: str | Path) -> Path:
    """Return the folder of a run that is named by itself or by its best model's file. Raises `DataError`."""
    path = Path(run)
    if (folder := run_of(path)) is None:
        raise DataError(f"{path}: is no run folder of `eyas train` ({CONFIG} is missing).")
    if path.is_file() and path.suffix == ".safetensors" and _epoch(path) != (best := _epoch(model_file(folder))):
        raise DataError(
            f"{path}: is of epoch {_epoch(path)}, and a run keeps its best model's answers only, here of epoch {best}. "
            f"Give the run folder: {folder}"
        )
    return folder


def _epoch(model: Path) -> int | None:
    """Return the epoch that a model file is of."""
    found = headers.read_header(model, "model").get("facts", {}).get("epoch")
    return found if isinstance(found, int) else None


def read_header(folder: Path) -> dict[str, Any]:
    """Return what the file of a run's best model says. Raises `DataError` where it is not one of a run."""
    path = model_file(folder)
    from eyas.files.tensors import read_tensors  # by now the mistakes that need no torch are told

    header = read_tensors(path, "model")[1]
    if "scores" not in header["facts"]:
        raise DataError(f"{path}: says nothing of a run: it was not written by `eyas train`.")
    return header


def read_answers(folder: Path, epoch: int) -> dict[str, Answers] | None:
    """Return what the best model, that of `epoch`, answered on each set; None where the run has no such file.

    Raises `CheckpointError` where the file is damaged or of another epoch.
    """
    path = folder / PREDICTIONS
    if not path.exists():
        return None
    from eyas.files.tensors import read_tensors

    tensors, header = read_tensors(path, "predictions")
    if header["epoch"] != epoch:
        raise CheckpointError(
            f"{path}: is of epoch {header['epoch']}, the best model of epoch {epoch}. The run was cut off while it "
            f"saved: eyas resume {folder}"
        )
    numbers = {name: tensor.numpy() for name, tensor in tensors.items()}
    return {
        split: Answers(
            tuple(header["classes"]),
            samples,
            numbers[f"{split}/labels"],
            numbers[f"{split}/predicted"],
            numbers.get(f"{split}/logits"),
        )
        for split, samples in header["samples"].items()
    }


def read_record(run: str | Path) -> Record:
    """Return what a run folder holds. Raises `DataError`, `CheckpointError` or `FileError` where it cannot be read."""
    folder = run_folder(run)
    header = read_header(folder)
    answers = read_answers(folder, int(header["facts"]["epoch"])) or {}
    table, events = folder / "metrics.csv", folder / "events.jsonl"
    return Record(
        folder,
        header,
        make_config(file=folder / "config.toml"),
        tuple(read_table(table) if table.exists() else ()),
        tuple(read_events(events) if events.exists() else ()),
        {split: _scores(found, split, header, folder) for split, found in answers.items()},
        {split: found.samples for split, found in answers.items()},
    )


def _scores(answers: Answers, split: str, header: dict[str, Any], folder: Path) -> Scores:
    """Return the scores that answers give. Raises `CheckpointError` where the model's file says another number."""
    said = header["facts"]["scores"][split]
    classes = len(answers.classes)
    pairs = answers.targets.astype(np.int64) * classes + answers.predicted
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    scores = Scores(
        answers.classes,
        confusion,
        said["loss"] * said["count"],
        said["skipped"],
        predicted=answers.predicted,
        targets=answers.targets,
        logits=answers.logits,
    )
    if (scores.correct, scores.count) != (said["correct"], said["count"]):
        raise CheckpointError(
            f"{folder / PREDICTIONS}: has {scores.correct} of {scores.count} right, the model's file says "
            f"{said['correct']} of {said['count']}. The run was cut off while it saved: eyas resume {folder}"
        )
    return scores
