"""TensorBoard: curves by iteration and by epoch, charts, pictures with their answers, runs to compare."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eyas.errors import FileError
from eyas.sinks.board import (
    EventFile,
    drop_past,
    histogram,
    hparams_end,
    hparams_experiment,
    hparams_start,
    markdown,
    pr_curves,
)
from eyas.sinks.scalars import CURVES_CLASSES, BestSoFar, best_scalars, epoch_scalars, evaluated_scalars
from eyas.training.events import EpochOver, EpochTrained, Evaluated, Event, Finished, Started, Trained, Weighed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        self._pictured: dict[str, Any] = {}  # by split: the images that are shown with their answers
        self._best = BestSoFar()
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
                self._scalars(epoch_scalars(event), event.epoch)
            case Weighed():
                for one in event.histograms:
                    self._summary(f"{one.kind}/{one.name}", histogram(one), event.epoch)
            case Evaluated():
                self._scalars(evaluated_scalars(event), event.epoch)
                for best in self._best.hear(event):
                    self._scalars(best_scalars(best), best.epoch)
                self._pending[event.split] = event
            case EpochOver() if time.monotonic() - self._drawn > self._cost / SHARE:
                self._evaluations()
            case Finished():
                self._evaluations()
                if event.reason != "interrupted":
                    self._summary("_hparams_/session_end_info", hparams_end(), event.epoch)
        if isinstance(event, Finished) or time.monotonic() - self._opened > PATIENCE:
            self._first_batch()
        # what precedes a saved state must outlive a kill: it would not be written again after the resume
        recorded = Started | Trained | EpochTrained | Weighed | Evaluated | Finished
        if isinstance(event, recorded) and self._writer is not None:
            self._writer.flush()

    def _open(self, event: Started) -> None:
        """Drop what lies past the resumed step, open the writer; in a fresh run also say what runs."""
        self.close()
        step = self._resumed_step
        self._there = drop_past(self._folder, -1 if step is None else step, event.steps_per_epoch)
        # the files are clean by now; this start mark is for a TensorBoard that is already showing them
        purge = None if step is None else step + 1
        self._writer = EventFile(self._folder, purge_step=purge)
        self._drawn = time.monotonic()
        self._pictured = {shown.split: shown for shown in event.pictured}
        if step is None:
            self._writer.add_text("run/facts", markdown(("", ""), event.facts), 0)
            self._writer.add_text("run/shapes", markdown(("stage", "shape", ""), event.shapes), 0)
            if event.settings:
                self._writer.add_summary(hparams_experiment(tuple(self._pictured)), 0)
                self._writer.add_summary(hparams_start(event.settings), 0)
            self._undrawn, self._opened = event, time.monotonic()

    def _first_batch(self) -> None:
        event, self._undrawn = self._undrawn, None
        if event is not None and len(event.first_batch):
            from eyas.render.mosaic import pictures_chart

            self._picture("data/first_batch", pictures_chart(event.first_batch, event.first_labels), 0)

    def _evaluations(self) -> None:
        """Draw the newest evaluation of each split; of epochs that are quicker than drawing some are never drawn."""
        if not self._pending:
            return
        from eyas.render.charts import confusion_chart, per_class_chart
        from eyas.render.mosaic import answers_chart

        began = time.monotonic()
        for split, event in self._pending.items():
            scores = event.scores
            self._picture(f"{split}/per_class", per_class_chart(scores), event.epoch)
            self._picture(f"{split}/confusion_matrix", confusion_chart(scores), event.epoch)
            if split in self._pictured and scores.predicted is not None:
                shown = self._pictured[split]
                self._picture(f"{split}/answers", answers_chart(shown, scores), event.epoch)
            if len(scores.classes) <= CURVES_CLASSES:
                for tag, curve in pr_curves(scores, split).items():
                    self._summary(tag, curve, event.epoch)
        self._pending.clear()
        self._drawn = time.monotonic()
        self._cost = self._drawn - began

    def _scalars(self, values: dict[str, float], step: int) -> None:
        for tag, value in values.items():
            # a score that does not exist (nan) is a gap, not a point
            if value == value and (tag, step) not in self._there:
                self._writer.add_scalar(tag, value, step)

    def _summary(self, tag: str, summary: Any, step: int) -> None:
        if (tag, step) not in self._there:
            self._writer.add_summary(summary, step)

    def _picture(self, tag: str, figure: Figure, step: int) -> None:
        """Add a drawn figure; not through `add_figure`, which brings in pyplot and its global state."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        if (tag, step) in self._there:
            return
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
        self._writer.add_image(tag, pixels, step)
