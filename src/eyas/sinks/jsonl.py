"""`events.jsonl`: the whole history of a run, one strict JSON object a line."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eyas.errors import FileError
from eyas.evaluation.measures import numbers_of
from eyas.evaluation.scores import Scores
from eyas.files.atomic import write_bytes
from eyas.files.json_file import strict
from eyas.run_folder.record import event_lines
from eyas.run_folder.record import read_events as read_events
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
        last = -1 if resumed_step is None else resumed_step
        try:
            lines = list(event_lines(path)) if path.exists() else []
            kept = [(line, record) for line, record in lines if record is not None and record["step"] <= last]
            if len(kept) < len(lines):
                write_bytes(path, b"".join(line for line, _ in kept))
            self._file = path.open("ab")
        except OSError as error:
            raise self._fault(error) from error
        # interrupted while it evaluated, a run evaluates the same step again at each resume: once is enough
        self._evaluated = {(r["step"], r["split"]) for _, r in kept if r["event"] == "evaluated"}

    def write(self, event: Event) -> None:
        """Append `event`; raises `FileError` where the disk refuses it."""
        if isinstance(event, Progress | Weighed):  # not a record; histograms are for TensorBoard
            return
        if isinstance(event, Evaluated) and (event.step, event.split) in self._evaluated:
            return
        values = {field.name: getattr(event, field.name) for field in fields(event) if field.name not in PICTURES}
        if isinstance(event, Evaluated):
            values |= scored(values.pop("scores"))
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = {"event": type(event).__name__.lower(), "time": now, **values}
        line = json.dumps(strict(record), ensure_ascii=False, allow_nan=False)
        try:
            # a lone surrogate (an undecodable byte of a file name) has no UTF-8 form: its escape is written
            self._file.write(line.encode("utf-8", "backslashreplace") + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._fault(error) from error

    def close(self) -> None:
        """Close the file; raises `FileError` where the disk refuses the rest of it."""
        try:
            self._file.close()
        except OSError as error:
            raise self._fault(error) from error

    def _fault(self, error: OSError) -> FileError:
        """Say which file failed and why."""
        said = f"{self._path}: {error.strerror or error}."
        return FileError(f"{said} Check the disk's space and the folder's permissions.")


def scored(scores: Scores) -> dict[str, Any]:
    """Return every number of `scores`; the confusion matrix only where it is small."""
    per_class = {name: getattr(scores, name) for name in ("precision", "recall", "f1", "support")}
    small = {"confusion": scores.confusion} if len(scores.classes) <= CONFUSION_CLASSES else {}
    return numbers_of(scores) | per_class | small
