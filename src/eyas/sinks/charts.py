"""`charts/`: the pictures of a run as files, drawn when it ends."""

from __future__ import annotations

from pathlib import Path

from eyas.evaluation.scores import Scores
from eyas.files.atomic import make_folder
from eyas.training.events import Evaluated, Event, Finished


class ChartFiles:
    """Keeps the scores of the best epoch that this process measured, and draws them at the end.

    Where the best epoch was measured before an interruption its charts are there already and stay.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._scores: dict[str, Scores] = {}
        self._pending: dict[str, Scores] = {}
        self._epoch = self._best_epoch = 0

    def write(self, event: Event) -> None:
        """Take an `Evaluated`; draw at a `Finished`."""
        if isinstance(event, Evaluated):
            if event.epoch != self._epoch:
                self._epoch, self._pending = event.epoch, {}
            self._pending[event.split] = event.scores
            if event.improved or self._best_epoch == event.epoch:
                self._best_epoch, self._scores = event.epoch, dict(self._pending)
        elif isinstance(event, Finished):
            self._draw()

    def close(self) -> None:
        """Nothing to do: what was drawn is written."""

    def _draw(self) -> None:
        from eyas.render.charts import curves_chart, save_chart
        from eyas.render.figures import save_scores
        from eyas.sinks.table import read_table

        folder = self._directory / "charts"
        table = self._directory / "metrics.csv"  # not there before the first epoch's end
        rows = read_table(table) if table.exists() else []
        if self._scores or rows:
            make_folder(folder)
        for split, scores in self._scores.items():
            save_scores(scores, folder, prefix=f"{split}-")
        if rows:
            save_chart(curves_chart(rows), folder / "curves.svg")
