"""Shows a run live on a terminal, or as plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TextIO, cast

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from eyas.sinks.notebook import NotebookView, in_notebook
from eyas.sinks.rows import RowLayout, Verdict, log_line, progress_words
from eyas.sinks.story import EpochRow, Pace, Story
from eyas.sinks.summary import closing, estimate, opening, profile_table
from eyas.terminal.clean import clean
from eyas.terminal.wording import duration_text, loss_text, percent_text
from eyas.training.events import Evaluated, Event, Finished, Noted, Profiled, Progress, Started, Trained

if TYPE_CHECKING:
    from eyas.training.events import Sink

PLAIN_WIDTH = 110  # of tables in a log, whose reader's width is not known


def open_console(view: str) -> Sink:
    """Return the sink for `--view`; auto is live where stdout is a terminal, and notebook in a notebook's kernel."""
    if view == "none":
        return Quiet()
    if view == "notebook" or (view == "auto" and in_notebook()):
        return NotebookView()
    file = cast(TextIO, Unbreakable(sys.stdout))
    console = Console(file=file, highlight=False)
    live = console.is_terminal and not console.is_dumb_terminal
    if view == "live" or (view == "auto" and live):
        return LiveConsole(console)
    return PlainConsole(file)


class Quiet:
    """Shows nothing."""

    def write(self, event: Event) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Unbreakable:
    """A text stream that training survives: what it cannot show is escaped, and once it is gone, left out.

    A closed pipe or a terminal that went away is no reason to lose hours of work.
    """

    def __init__(self, stream: TextIO) -> None:
        """Stand in front of `stream`."""
        self._stream: TextIO | None = stream
        self._terminal = stream.isatty()
        self.encoding = stream.encoding or "utf-8"
        self.fileno = stream.fileno

    def write(self, text: str) -> int:
        """Write what can be written."""
        shown = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
        self._safely(lambda stream: stream.write(shown))
        return len(text)

    def flush(self) -> None:
        """Flush if the stream is still there."""
        self._safely(lambda stream: stream.flush())

    def isatty(self) -> bool:
        """Say whether it is a terminal."""
        return self._terminal

    def _safely(self, use: Callable[[TextIO], object]) -> None:
        try:
            if self._stream is not None:
                use(self._stream)
        except (OSError, ValueError):  # ValueError: somebody closed it
            self._stream = None


class PlainConsole:
    """Plain lines without escape codes: one per record of the loss, per epoch and per note."""

    def __init__(self, file: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `file`; `clock` gives the seconds from which the speed follows."""
        plain = {"force_terminal": False, "highlight": False, "emoji": False}
        self._console = Console(file=file, width=PLAIN_WIDTH, color_system=None, **plain)  # type: ignore[arg-type]
        self._clock = clock
        self._story, self._verdict = Story(), Verdict()
        self._pace: Pace | None = None
        self._left: float | None = None  # seconds to the end of the run, as far as they are known
        self._estimated = False

    def write(self, event: Event) -> None:
        """Show what `event` means for the reader."""
        self._tell(self._story.update(event))
        match event:
            case Started():
                self._print(*opening(event))
                self._pace = Pace(event, self._clock)
            case Progress() | Evaluated() if self._pace and self._story.started:
                self._pace.watch(event)
                self._left = self._pace.left(event.step)
                if self._left is not None and not self._estimated:
                    self._estimated = True
                    self._print(*(Text(line, style="bold") for line in estimate(self._story.started, self._left)))
            case Trained():
                self._trained(event)
            case Profiled():
                self._print(*profile_table(event, self._story.started))
            case Finished():
                self._print(*closing(self._story, event))

    def close(self) -> None:
        """Say what was held back."""
        self._tell(self._story.rest())

    def _tell(self, ready: list[EpochRow | Noted]) -> None:
        for item in ready:
            if isinstance(item, Noted):
                said = f"{'warning: ' if item.warning else ''}{clean(item.message)}"
                self._print(Text(said, style="yellow" if item.warning else ""))
            else:
                self._epoch(item)
                self._remarks([Text(line, style="dim") for line in self._verdict.lines(item, self._story.started)])

    def _epoch(self, row: EpochRow) -> None:
        self._print(Text(log_line(row, self._story.started)))

    def _remarks(self, lines: list[Text]) -> None:
        self._print(*lines)

    def _trained(self, event: Trained) -> None:
        started = self._story.started
        total = f" of {started.steps_per_epoch * started.epochs:,}" if started else ""
        left = self._pace.left(event.step) if self._pace else None
        rest = f", {duration_text(left)} left" if left else ""
        where = f"epoch {event.epoch} step {event.step:,}{total}"
        self._print(Text(f"{where}: loss {loss_text(event.loss)}, lr {event.lr:.4g}{rest}"))

    def _print(self, *parts: RenderableType) -> None:
        if not parts:
            return
        with self._console.capture() as captured:
            for part in parts:
                self._console.print(part, soft_wrap=isinstance(part, Text))
        # tables are padded to their width, which in a log is nothing but blanks at the ends of lines
        text = "\n".join(line.rstrip() for line in captured.get().splitlines())
        self._console.print(Text(text), soft_wrap=True)


class LiveConsole(PlainConsole):
    """A progress bar at the bottom of a terminal, and above it a row for each epoch."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Draw on `console`; `clock` gives the seconds from which the speed follows."""
        super().__init__(cast(TextIO, console.file), clock=clock)
        self._console = console
        self._layout: RowLayout | None = None
        self._live: Live | None = None

    def write(self, event: Event) -> None:
        """Show what `event` changes."""
        if isinstance(event, Started | Finished):
            self._stop()
        super().write(event)
        if isinstance(event, Started):
            # drawn on signs of life only, without a thread; foreign prints are shown above the bar, but stderr
            # only where it would come out on the same screen
            self._live = Live(
                Text("the first steps ..."),
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stderr=sys.stderr.isatty(),
            )
            self._live.start(refresh=True)
        if isinstance(event, Progress) and self._live is not None and self._story.started is not None:
            self._live.update(_bar(event, self._story.started, self._left), refresh=True)

    def close(self) -> None:
        """Give the terminal back as it was, with everything said."""
        super().close()
        self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _epoch(self, row: EpochRow) -> None:
        started = self._story.started
        if self._layout is None:
            select, epochs = (started.selects_on, started.epochs) if started else (None, row.epoch)
            self._layout = RowLayout(row, select, epochs=epochs, width=self._console.width)
            self._print(self._layout.head())
        self._print(self._layout.line(row))

    def _remarks(self, lines: list[Text]) -> None:
        for line in lines:
            self._console.print(line)  # broken at the edge: nothing in it is copied

    def _trained(self, event: Trained) -> None:
        """Say nothing: the bar does."""

    def _print(self, *parts: RenderableType) -> None:
        for part in parts:
            # text may run past the edge so that a command or a path can be copied whole
            self._console.print(part, soft_wrap=isinstance(part, Text))


def _bar(event: Progress, started: Started, left: float | None) -> RenderableType:
    """Return the two lines at the bottom: how far the run is, and what it is doing."""
    total = started.steps_per_epoch * started.epochs
    epoch = min(event.step // started.steps_per_epoch + 1, started.epochs)
    if event.stage != "train":  # the epoch's steps are done, the epoch is not
        epoch = max(1, -(-event.step // started.steps_per_epoch))
    top = Table.grid(expand=True, padding=(0, 2, 0, 0))
    for ratio in (None, 1, None, None):
        top.add_column(ratio=ratio, no_wrap=True)
    rest = f"{duration_text(left)} left" if left is not None else ""
    share = percent_text(event.step / total, 0)
    top.add_row(f"epoch {epoch}/{started.epochs}", ProgressBar(total=total, completed=event.step), share, rest)
    if event.stage == "train":
        doing = [f"step {event.step:,}/{total:,}", *progress_words(event)]
    else:
        doing = [f"{event.stage}: {event.done:,} of {event.total:,}"]
    both = Table.grid(expand=True)
    both.add_row(top)
    both.add_row(Text("  ".join(doing), no_wrap=True, overflow="ellipsis"))
    return both


def live(events: Iterable[Event]) -> Iterator[Event]:
    """Yield the events unchanged, and display the run as it goes.

    In a notebook: progress, a line per epoch, and curves that redraw below the cell; elsewhere: plain lines.
    """
    with contextlib.closing(open_console("notebook" if in_notebook() else "plain")) as view:
        for event in events:
            view.write(event)
            yield event
