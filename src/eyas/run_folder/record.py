"""A run folder read back, each file when it is first asked for: the only place that reads what a training wrote."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from eyas.config.run_config import RunConfig, make_config
from eyas.errors import CheckpointError, DataError, FileError
from eyas.evaluation.measures import LOSSES_FIRST, further
from eyas.evaluation.scores import Scores, confusion_of
from eyas.files import headers
from eyas.files.atomic import CONFIG, PREDICTIONS, model_file
from eyas.run_folder.origin import run_of

TABLE, EVENTS = "metrics.csv", "events.jsonl"
STATES = ("state.safetensors", "state-earlier.safetensors")
COLUMNS = (  # of metrics.csv; measures that not every run has come behind them
    *("epoch", "step", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy"),
    *(f"test_{one.name}{end}" for one in LOSSES_FIRST for end in ("", *(("_low", "_high") if one.interval else ()))),
    *("seconds", "images_per_second", "waiting", "best"),
)

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answered on one set. `samples` is the set's fingerprint: which samples they are, in which order."""

    classes: tuple[str, ...]
    samples: str
    targets: np.ndarray  # int32 [N]
    predicted: np.ndarray  # int32 [N]
    logits: np.ndarray | None  # float32 [N, C]


class Record:
    """A run. Its properties raise `DataError`, `CheckpointError` or `FileError` where a file cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def config(self) -> RunConfig:
        """Its settings."""
        return make_config(file=self.folder / CONFIG)

    @cached_property
    def header(self) -> dict[str, Any]:
        """What the file of its best model says, verified. Raises `DataError` where that is not one of a run."""
        path = model_file(self.folder)
        from eyas.files.tensors import read_tensors  # by now the mistakes that need no torch are told

        header = read_tensors(path, "model")[1]
        if "scores" not in header["facts"]:
            raise DataError(f"{path}: says nothing of a run: it was not written by `eyas train`.")
        return header

    @cached_property
    def light_header(self) -> dict[str, Any] | None:
        """What the file of its best model, else its last one, says; read without torch, not verified."""
        found = (self.folder / name for name in ("best.safetensors", "last.safetensors"))
        path = next((one for one in found if one.exists()), None)
        return None if path is None else headers.read_header(path, "model")

    @cached_property
    def state(self) -> dict[str, Any] | None:
        """What the file of its exact state says; read without torch, not verified."""
        path = next((self.folder / name for name in STATES if (self.folder / name).exists()), None)
        return None if path is None else headers.read_header(path, "state")

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rows of metrics.csv."""
        return tuple(read_table(self.folder / TABLE)) if (self.folder / TABLE).exists() else ()

    @cached_property
    def events(self) -> tuple[dict[str, Any], ...]:
        """The records of events.jsonl."""
        return tuple(read_events(self.folder / EVENTS)) if (self.folder / EVENTS).exists() else ()

    @cached_property
    def answers(self) -> dict[str, Answers] | None:
        """What the best model answered on each set; None where the run has no such file."""
        return read_answers(self.folder, int(self.header["facts"]["epoch"]))

    @cached_property
    def samples(self) -> dict[str, str]:
        """Which samples each set has, as the best model's answers or the state say; read without torch."""
        if (self.folder / PREDICTIONS).exists():
            return dict(headers.read_header(self.folder / PREDICTIONS, "predictions")["samples"])
        said = self.state["fingerprint"] if self.state is not None else {}
        return {name.removesuffix(" data"): str(value) for name, value in said.items() if name.endswith(" data")}

    @cached_property
    def scores(self) -> dict[str, Scores]:
        """The best model's result on each set. Raises `CheckpointError` where its file says other numbers."""
        said = self.header["facts"]["scores"]
        return {split: self._scored(one, said[split]) for split, one in (self.answers or {}).items()}

    def _scored(self, answers: Answers, said: dict[str, Any]) -> Scores:
        """Return the scores that answers give."""
        scores = Scores(
            answers.classes,
            confusion_of(answers.targets, answers.predicted, len(answers.classes)),
            said["loss"] * said["count"],
            said["skipped"],
            predicted=answers.predicted,
            targets=answers.targets,
            logits=answers.logits,
            hits=said.get("hits", {}),
        )
        if (scores.correct, scores.count) != (said["correct"], said["count"]):
            raise CheckpointError(
                f"{self.folder / PREDICTIONS}: has {scores.correct} of {scores.count} right, the model's file says "
                f"{said['correct']} of {said['count']}. The run was cut off while it saved: eyas resume {self.folder}"
            )
        return scores


def read_record(run: str | Path) -> Record:
    """Return the run that is named by its folder or by its best model's file. Raises `DataError`."""
    path = Path(run)
    if (folder := run_of(path)) is None:
        raise DataError(f"{path}: is no run folder of `eyas train` ({CONFIG} is missing).")
    if path.is_file() and path.suffix == ".safetensors" and _epoch(path) != (best := _epoch(model_file(folder))):
        raise DataError(
            f"{path}: is of epoch {_epoch(path)}, and a run keeps its best model's answers only, here of epoch {best}. "
            f"Give the run folder: {folder}"
        )
    return Record(folder)


def _epoch(model: Path) -> int | None:
    """Return the epoch that a model file is of."""
    found = headers.read_header(model, "model").get("facts", {}).get("epoch")
    return found if isinstance(found, int) else None


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


def read_table(path: Path) -> list[Row]:
    """Return the rows of a `metrics.csv` as text, "" where a split was not evaluated.

    The last row with `best` 1 is the best epoch: a 1 says that the epoch was the best so far when it ended,
    so that cutting the table off after any row leaves it true.
    Raises `DataError` naming the line that is no such row, `FileError` where the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a table of metrics: {error}.") from error
    for number, row in enumerate(rows, 2):
        # a row cut short has fewer cells
        whole = row.keys() >= set(COLUMNS) and None not in row.values() and all(map(_is_column, row))
        if not whole or not all(map(_is_cell, row, row.values())):
            raise DataError(f"{path}:{number}: not a row of metrics. Restore the file, or move it away.")
    return rows


def _is_column(name: str | None) -> bool:
    """Return whether a column is one of `COLUMNS`, or holds a measure that not every run has."""
    measure = str(name).partition("_")[2].removesuffix("_low").removesuffix("_high")
    return name in COLUMNS or bool(further([measure]))


def _is_cell(name: str, text: str) -> bool:
    """Return whether a cell is what its column holds: a whole number for epoch and step, else a number or nothing."""
    if name in ("epoch", "step"):
        return text.isascii() and text.isdecimal()
    try:
        float(text or 0)
    except ValueError:
        return False
    return True


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the records of an `events.jsonl`, oldest first; a half-written last line is left out.

    Raises `DataError` naming the line where the file is damaged elsewhere, `FileError` if it is unreadable.
    """
    try:
        lines = list(event_lines(path))
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}. Check the folder's permissions.") from error
    broken = [number for number, (_, record) in enumerate(lines[:-1], 1) if record is None]
    if broken:
        raise DataError(f"{path}:{broken[0]}: not a record of a run. Delete the line, or restore the file.")
    return [record for _, record in lines if record is not None]


def event_lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Yield each line of an `events.jsonl` with what it says, None where it is not a whole record."""
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:  # torn in the middle, also of a UTF-8 character
                record = None
            known = isinstance(record, dict) and {"event", "step"} <= record.keys() and line.endswith(b"\n")
            yield line, record if known else None
