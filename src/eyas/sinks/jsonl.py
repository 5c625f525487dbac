"""`events.jsonl`: the whole history of a run, one strict JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from eyas.errors import DataError, FileError
from eyas.evaluation.scores import Scores
from eyas.files.atomic import write_bytes
from eyas.training.events import Evaluated, Event, Progress, Weighed

CONFUSION_CLASSES = 200  # above this a confusion matrix has more than 40,000 cells: too much for a line of text
PICTURES = {"first_batch", "first_labels", "pictured"}  # for TensorBoard; labels mean nothing without them


class JsonLines:
    """Appends each event but `Progress` and `Weighed` to a file: on its way to the disk when `write` returns."""

    def __init__(self, path: Path, *, resumed_step: int | None = None) -> None:
        """Open `path` for appending, without what lies past `resumed_step` (None: without anything).

        Lines of `resumed_step` itself stay: a state is saved after the events of its step. A half-written
        last line goes. Raises `FileError` where the file cannot be read or written.
        """
        self._path = path
        try:
            kept = _drop_past(path, -1 if resumed_step is None else resumed_step)
            self._file = path.open("ab")
        except OSError as error:
            raise _fault(path, error) from error
        # interrupted while it evaluated, a run evaluates the same step again at each resume: once is enough
        self._evaluated = {(r["step"], r["split"]) for r in kept if r["event"] == "evaluated"}

    def write(self, event: Event) -> None:
        """Append `event`; raises `FileError` where the disk refuses it."""
        if isinstance(event, Progress | Weighed):  # not a record; histograms are for TensorBoard
            return
        if isinstance(event, Evaluated) and (event.step, event.split) in self._evaluated:
            return
        line = json.dumps(strict(_record(event)), ensure_ascii=False, allow_nan=False)
        try:
            # a lone surrogate (an undecodable byte of a file name) has no UTF-8 form: its escape is written
            self._file.write(line.encode("utf-8", "backslashreplace") + b"\n")
            self._file.flush()
        except OSError as error:
            raise _fault(self._path, error) from error

    def close(self) -> None:
        """Close the file; raises `FileError` where the disk refuses the rest of it."""
        try:
            self._file.close()
        except OSError as error:
            raise _fault(self._path, error) from error


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the records of an `events.jsonl`, oldest first; a half-written last line is left out.

    Raises `DataError` naming the line where the file is damaged elsewhere, `FileError` if it is unreadable.
    """
    try:
        lines = list(_lines(path))
    except OSError as error:
        raise _fault(path, error) from error
    broken = [number for number, (_, record) in enumerate(lines[:-1], 1) if record is None]
    if broken:
        raise DataError(f"{path}:{broken[0]}: not a record of a run. Delete the line, or restore the file.")
    return [record for _, record in lines if record is not None]


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Yield each line with what it says, None where it is not a whole record."""
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:  # torn in the middle, also of a UTF-8 character
                record = None
            known = isinstance(record, dict) and {"event", "step"} <= record.keys() and line.endswith(b"\n")
            yield line, record if known else None


def _drop_past(path: Path, step: int) -> list[dict[str, Any]]:
    """Rewrite the file without the lines past `step` and damaged ones; return the records that stay."""
    lines = list(_lines(path)) if path.exists() else []
    kept = [(line, record) for line, record in lines if record is not None and record["step"] <= step]
    if len(kept) < len(lines):
        write_bytes(path, b"".join(line for line, _ in kept))
    return [record for _, record in kept]


def _record(event: Event) -> dict[str, Any]:
    """Return the event's fields under its name and the time."""
    values = {field.name: getattr(event, field.name) for field in fields(event) if field.name not in PICTURES}
    if isinstance(event, Evaluated):
        values |= scored(values.pop("scores"))
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"event": type(event).__name__.lower(), "time": now, **values}


def scored(scores: Scores) -> dict[str, Any]:
    """Return every number of `scores`; the confusion matrix only where it is small."""
    single = ("count", "correct", "skipped", "loss_sum", "loss", "accuracy", "interval", "macro_f1")
    per_class = ("precision", "recall", "f1", "support")
    values = {name: getattr(scores, name) for name in (*single, *per_class)}
    return values | ({"confusion": scores.confusion} if len(scores.classes) <= CONFUSION_CLASSES else {})


def strict(value: Any) -> Any:
    """Return `value` as plain JSON: arrays as lists, paths as text, what is not a finite number as null."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: strict(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [strict(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def _fault(path: Path, error: OSError) -> FileError:
    """Say which file failed and why."""
    return FileError(f"{path}: {error.strerror or error}. Check the disk's space and the folder's permissions.")
