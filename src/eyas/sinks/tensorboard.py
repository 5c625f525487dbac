"""TensorBoard: curves by iteration and by epoch, per-class charts, the first batch as pictures."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eyas.errors import FileError
from eyas.events import EpochOver, EpochTrained, Evaluated, Event, Finished, Started, Trained
from eyas.files import write_bytes
from eyas.metrics import Scores
from eyas.sinks.event_file import EventFile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BY_STEP = frozenset({"train/loss", "train/learning_rate"})  # every other tag counts in epochs
CURVES_CLASSES = 50  # above this, a curve for each class is a page nobody scrolls through: only the charts
PATIENCE = 120  # seconds after which the first batch is drawn, or at the end of the run: it costs two, within an epoch
SHARE = 0.02  # most of a run's time that goes into drawing its evaluations


class TensorBoard:
    """Writes one event folder per run, in which each tag has each step once, over any number of resumes."""

    def __init__(self, folder: Path, *, resumed_step: int | None = None) -> None:
        """Prepare to write to `folder`; its files are cleaned and opened when the run says it has started."""
        self._folder = folder
        self._resumed_step = resumed_step
        self._writer: Any = None
        self._waiting: Started | None = None  # opened with the event after it: the first step need not wait for imports
        self._there: set[tuple[str, int]] = set()  # (tag, step) that an evaluation made again would repeat
        self._undrawn: Started | None = None  # its first batch is drawn later: the first step need not wait for it
        self._opened = 0.0
        self._pending: dict[str, Evaluated] = {}  # the newest evaluation of each split that is not drawn
        self._drawn, self._cost = 0.0, 2.0  # when evaluations were drawn last, and the seconds that it took (a guess)

    def write(self, event: Event) -> None:
        """Write what the event has to show; raises `FileError` where the disk refuses it."""
        try:
            self._write(event)
        except OSError as error:
            raise self._fault(error) from error

    def close(self) -> None:
        """Close the file; raises `FileError` where the disk refuses the rest of it."""
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except OSError as error:
                raise self._fault(error) from error

    def _fault(self, error: OSError) -> FileError:
        return FileError(f"{self._folder}: {error.strerror or error}. Check the disk's space.")

    def _write(self, event: Event) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._open(waiting)
        match event:
            case Started():
                self._waiting = event
            case Trained():
                self._scalars({"train/loss": event.loss, "train/learning_rate": event.lr}, event.step)
            case EpochTrained():
                self._scalars(_epoch_scalars(event), event.epoch)
            case Evaluated():
                self._scalars(_evaluated_scalars(event), event.epoch)
                self._pending[event.split] = event
            case EpochOver() if time.monotonic() - self._drawn > self._cost / SHARE:
                self._evaluations()
            case Finished():
                self._evaluations()
        if isinstance(event, Finished) or time.monotonic() - self._opened > PATIENCE:
            self._first_batch()
        # what precedes a saved state must outlive a kill: it would not be written again after the resume
        if isinstance(event, Started | Trained | EpochTrained | Evaluated | Finished) and self._writer is not None:
            self._writer.flush()

    def _open(self, event: Started) -> None:
        """Drop what lies past the resumed step, open the writer; in a fresh run also say what runs."""
        self.close()
        step = self._resumed_step
        self._there = _drop_past(self._folder, -1 if step is None else step, event.steps_per_epoch)
        # the files are clean by now; this start mark is for a TensorBoard that is already showing them
        purge = None if step is None else step + 1
        self._writer = EventFile(self._folder, purge_step=purge)
        self._drawn = time.monotonic()
        if step is None:
            self._writer.add_text("run/facts", _markdown(("", ""), event.facts), 0)
            self._writer.add_text("run/shapes", _markdown(("stage", "shape", ""), event.shapes), 0)
            self._undrawn, self._opened = event, time.monotonic()

    def _first_batch(self) -> None:
        event, self._undrawn = self._undrawn, None
        if event is not None and len(event.first_batch):
            from eyas.render.charts import pictures_chart

            self._picture("data/first_batch", pictures_chart(event.first_batch, event.first_labels), 0)

    def _evaluations(self) -> None:
        """Draw the newest evaluation of each split; of epochs that are quicker than drawing some are never drawn."""
        if not self._pending:
            return
        from eyas.render.charts import confusion_chart, per_class_chart

        began = time.monotonic()
        for split, event in self._pending.items():
            self._picture(f"{split}/per_class", per_class_chart(event.scores), event.epoch)
            self._picture(f"{split}/confusion_matrix", confusion_chart(event.scores), event.epoch)
        self._pending.clear()
        self._drawn = time.monotonic()
        self._cost = self._drawn - began

    def _scalars(self, values: dict[str, float], step: int) -> None:
        for tag, value in values.items():
            if (
                value == value and (tag, step) not in self._there
            ):  # a score that does not exist (nan) is a gap, not a point
                self._writer.add_scalar(tag, value, step)

    def _picture(self, tag: str, figure: Figure, step: int) -> None:
        """Add a drawn figure; not through `add_figure`, which brings in pyplot and its global state."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        if (tag, step) in self._there:
            return
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
        self._writer.add_image(tag, pixels, step)


def class_tags(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return a tag for each class: its name without characters that TensorBoard or a path would take apart.

    Where two names become the same, every tag is given its class number in front.
    """
    slugs = [re.sub(r"[^\w.-]+", "_", name).strip("_") or "_" for name in classes]
    if len({slug.casefold() for slug in slugs}) == len(slugs):
        return tuple(slugs)
    width = len(str(len(slugs) - 1))
    return tuple(f"{number:0{width}}_{slug}" for number, slug in enumerate(slugs))


def _epoch_scalars(event: EpochTrained) -> dict[str, float]:
    return {
        "train/loss_epoch": event.loss,
        "train/accuracy_epoch": event.accuracy,
        "time/seconds_per_epoch": event.seconds,
        "time/images_per_second": event.images_per_second,
        "time/waiting_for_data": event.waiting,
    }


def _evaluated_scalars(event: Evaluated) -> dict[str, float]:
    scores, split = event.scores, event.split
    whole = {
        f"{split}/loss_sum": scores.loss_sum,
        f"{split}/loss_mean": scores.loss,
        f"{split}/accuracy": scores.accuracy,
        f"{split}/macro_f1": scores.macro_f1,
    }
    return whole | (_class_scalars(scores, split) if len(scores.classes) <= CURVES_CLASSES else {})


def _class_scalars(scores: Scores, split: str) -> dict[str, float]:
    measures = {"precision": scores.precision, "recall": scores.recall, "f1": scores.f1}
    tags = class_tags(scores.classes)
    return {
        f"{split}_{measure}/{tag}": float(value)
        for measure, values in measures.items()
        for tag, value in zip(tags, values, strict=True)
    }


def _markdown(heads: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    """Return a table in Markdown whose cells are shown as they are, whatever characters they hold."""
    lines = [heads, ("---",) * len(heads), *(tuple(map(_escaped, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Return `text` as numeric references where a character means something in Markdown or HTML."""
    return re.sub(r"[^\w .,:;()/+%=°×-]|_", lambda found: f"&#{ord(found.group())};", " ".join(text.split()))


def _drop_past(folder: Path, step: int, steps_per_epoch: int) -> set[tuple[str, int]]:
    """Rewrite the event files in `folder` without what lies past `step`, each file whole at any time.

    Returns the (tag, step) of the epoch that ended last: a run interrupted while it evaluated does so again.
    The writer's own purge mark cannot do this: it knows one axis, but tags here count in steps or in epochs.
    """
    there: set[tuple[str, int]] = set()
    for path in sorted(folder.glob("events.out.tfevents.*")):
        if step < 0:
            path.unlink()
            continue
        content, kept = path.read_bytes(), []
        for record in _records(content):
            tags, at = _tagged(record)
            epoch = step // steps_per_epoch
            if at <= (step if tags <= BY_STEP else epoch):
                kept.append(record)
                there.update((tag, at) for tag in tags - BY_STEP if at == epoch)
        if (clean := b"".join(kept)) != content:
            write_bytes(path, clean)
    return there


def _records(content: bytes) -> Iterator[bytes]:
    """Yield the records of an event file, framed as they are, without a half-written last one and damaged ones.

    The frame (TFRecord): uint64 length, uint32 checksum, the bytes, uint32 checksum.
    """
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    start = 0
    while start + 12 <= len(content):
        length, checksum = struct.unpack_from("<QI", content, start)
        end = start + 12 + length + 4
        if checksum != masked_crc32c(content[start : start + 8]) or end > len(content):
            return  # where the next one begins is not known
        if struct.unpack_from("<I", content, end - 4) == (masked_crc32c(content[start + 12 : end - 4]),):
            yield content[start:end]
        start = end


def _tagged(record: bytes) -> tuple[set[str], int]:
    """Return the tags of a record and where it stands on its axis; without tags it is a file's heading."""
    from tensorboard.compat.proto.event_pb2 import Event as Stored

    stored = Stored.FromString(record[12:-4])
    tags = {value.tag for value in stored.summary.value}
    return tags, int(stored.step) if tags else 0
