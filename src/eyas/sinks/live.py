"""Events of `fit` shown as they come: in a notebook below the cell, elsewhere as plain lines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from eyas.sinks.console import open_console
from eyas.sinks.notebook import in_notebook
from eyas.training.events import Event


def live(events: Iterable[Event]) -> Iterator[Event]:
    """Yield the events, and show the run: in a notebook progress, epochs, and curves that redraw below the cell.

    Outside of a notebook it is told in plain lines, as `--view plain` tells it.
    """
    with contextlib.closing(open_console("notebook" if in_notebook() else "plain")) as view:
        for event in events:
            view.write(event)
            yield event
