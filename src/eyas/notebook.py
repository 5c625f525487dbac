"""Events of `fit` shown in a notebook as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from eyas.errors import SettingsError
from eyas.events import Event
from eyas.sinks.notebook import NotebookView


def live(events: Iterable[Event]) -> Iterator[Event]:
    """Yield the events, and show the run below the running cell: progress, epochs, and curves that redraw in place.

    Raises `SettingsError` where IPython is not installed.
    """
    try:
        import IPython  # noqa: F401
    except ImportError:
        raise SettingsError("eyas.live shows a run in a notebook: pip install ipykernel") from None
    view = NotebookView()
    for event in events:
        view.write(event)
        yield event
