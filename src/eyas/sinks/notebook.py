"""A run in a notebook: a line of progress, a line for each epoch, and the curves, redrawn in place."""

from __future__ import annotations

import base64
import io
import sys
import time
from typing import Any

from eyas.evaluation.measures import said_verdict
from eyas.sinks.rows import log_line, progress_words
from eyas.sinks.story import EpochRow, Pace, Story
from eyas.sinks.summary import result
from eyas.sinks.table import cells
from eyas.terminal.clean import clean_html
from eyas.terminal.wording import said_duration, said_loss
from eyas.training.events import EpochOver, EpochTrained, Evaluated, Event, Finished, Noted, Progress, Started, Trained

OFTEN = 0.5  # seconds between two lines of progress
SHARE = 0.05  # most of a run's time that goes into drawing its curves
SHOWN = 12  # epochs that have a line: the newest


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    module = sys.modules.get("IPython")  # a kernel has loaded it
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "kernel", None) is not None


class NotebookView:
    """Shows the events of a run below the cell that is running, in two places: words and curves."""

    def __init__(self) -> None:
        self._story = Story()
        self._rows: dict[int, dict[str, str]] = {}
        self._epochs: list[EpochRow] = []
        self._notes: list[str] = []
        self._pace: Pace | None = None
        self._said = ""
        self._shown = self._drawn = 0.0
        self._cost = 0.0
        self._places: dict[str, Any] = {}

    def write(self, event: Event) -> None:
        """Show what the event changes; signs of life at most twice a second."""
        for ready in self._story.hear(event):
            if isinstance(ready, Noted):
                self._notes.append(ready.message)
            else:
                self._epochs = [*self._epochs, ready][-SHOWN:]
        now = time.monotonic()
        match event:
            case Started():
                self._pace = Pace(event, time.monotonic)
                self._said = "begins" if event.step == 0 else f"goes on at step {event.step:,}"
                self._words()
            case Progress():
                self._said = self._progress(event)
                if now - self._shown > OFTEN:
                    self._words()
            case Trained():
                self._said = f"step {event.step:,}: loss {said_loss(event.loss)}"
            case EpochTrained() | Evaluated():
                self._rows.setdefault(event.epoch, {}).update(cells(event))
            case EpochOver():
                self._words()
                if now - self._drawn > self._cost / SHARE:
                    self._curves()
            case Finished():
                best = self._story.best and self._story.best.shown
                self._said = "; ".join(" ".join(pair) for pair in result(event))
                self._said += said_verdict(best.scores) if best else ""
                self._words()
                self._curves()

    def close(self) -> None:
        """Nothing to do: what is shown stays."""

    def _progress(self, event: Progress) -> str:
        if event.stage != "train":
            return f"measuring {event.stage}: {event.done:,} of {event.total:,}"
        assert self._pace is not None
        self._pace.watch(event)
        left = self._pace.left(event.step)
        rest = f", {said_duration(left)} left" if left is not None else ""
        return f"step {event.step:,}: {', '.join(progress_words(event))}{rest}"

    def _words(self) -> None:
        self._shown = time.monotonic()
        lines = [f"<b>{clean_html(self._said)}</b>"]
        lines += [clean_html(log_line(row, self._story.started)) for row in self._epochs]
        lines += [f"<i>{clean_html(note)}</i>" for note in self._notes]
        started = self._story.started
        if started is not None:
            lines.append(f'<span style="opacity:.7">{clean_html(started.directory)}</span>')
        self._show("words", f'<div style="font-size:90%;line-height:1.5">{"<br>".join(lines)}</div>')

    def _curves(self) -> None:
        """Draw the curves anew."""
        rows = [self._rows[epoch] for epoch in sorted(self._rows)]
        if not rows:
            return
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        from eyas.render.charts import curves_chart

        began, picture = time.monotonic(), io.BytesIO()
        FigureCanvasAgg(curves_chart(rows)).print_png(picture)  # type: ignore[no-untyped-call]
        text = base64.b64encode(picture.getvalue()).decode()
        said = f"Curves of loss, accuracy, learning rate and time over {len(rows)} epochs"
        self._show("curves", f'<img alt="{said}" style="max-width:100%" src="data:image/png;base64,{text}">')
        self._drawn = time.monotonic()
        self._cost = self._drawn - began

    def _show(self, place: str, html: str) -> None:
        """Show HTML in its place, instead of what stands there."""
        from IPython.display import HTML, display

        if self._places.get(place) is not None:  # without a kernel nothing can be replaced
            self._places[place].update(HTML(html))  # type: ignore[no-untyped-call]
        else:
            self._places[place] = display(HTML(html), display_id=True)  # type: ignore[no-untyped-call]
