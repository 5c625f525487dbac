"""Where the events of a run go: the terminal, TensorBoard, JSON lines, a CSV table, loggers."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from eyas.device.profile import NoSpans, Profile
from eyas.errors import EyasError

if TYPE_CHECKING:
    from eyas.config.training import OutputConfig
    from eyas.training.events import Event, Sink


@dataclass(frozen=True, slots=True)
class Sinks:
    """Several sinks that are written to as one."""

    sinks: tuple[Sink, ...]
    profile: Profile = field(default_factory=NoSpans)

    def write(self, event: Event) -> None:
        """Hand `event` to each sink."""
        with self.profile.span("logging"):
            for sink in self.sinks:
                with self.profile.span(type(sink).__name__):
                    sink.write(event)

    def close(self) -> None:
        """Close every sink, even where one fails; raises the failure afterwards."""
        with contextlib.ExitStack() as stack:
            for sink in reversed(self.sinks):
                stack.callback(sink.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *failure: object) -> None:
        # the first fault is the one to be told: a full disk refuses also what closing would write
        with contextlib.suppress(OSError, EyasError) if kind else contextlib.nullcontext():
            self.close()


def open_sinks(
    directory: Path,
    output: OutputConfig,
    *,
    resumed_step: int | None,
    profile: Profile | None = None,
    before_the_end: Sink | None = None,
) -> Sinks:
    """Open the record files of the run folder `directory` and the terminal view that `output` asks for.

    `resumed_step` is the step of the state that the run goes on from, None for a fresh run. Whatever the
    record files hold past it is dropped first: after a crash they may be ahead of the state, and the steps
    between are about to be taken again. A fresh run therefore starts with empty records. `before_the_end` is one more
    sink, which is written to before the terminal's, so that this can name what it wrote.
    Raises `FileError` where a file cannot be read or written.
    """
    from eyas.sinks.console import open_console
    from eyas.sinks.jsonl import JsonLines
    from eyas.sinks.remote import open_remotes
    from eyas.sinks.table import MetricsTable
    from eyas.sinks.tensorboard import TensorBoard

    table = MetricsTable(directory / "metrics.csv", resumed_step=resumed_step)  # first: where it fails, no file is open
    return Sinks(
        (
            JsonLines(directory / "events.jsonl", resumed_step=resumed_step),
            table,
            TensorBoard(directory / "tensorboard", resumed_step=resumed_step),
            *open_remotes(directory, output),
            *(() if before_the_end is None else (before_the_end,)),
            open_console(output.view),  # last: what it says is written, is written
        ),
        profile or NoSpans(),
    )
