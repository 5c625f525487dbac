"""Where an epoch's time went: in a line, and with `--profile` as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from eyas.device.profile import Share
from eyas.sinks.story import EpochRow
from eyas.sinks.wording import said_briefly, said_duration, said_percent
from eyas.terminal.clean import clean
from eyas.training.events import Profiled, Started

MOVED = 0.1  # a share that differs by so much from what was last said is news
SHORT = 1.0  # seconds of an epoch below which shares jump about and nobody waits
WELL = 0.9  # share of the network from which there is little to gain elsewhere
LONG = 0.1  # share of waiting from which its reason is told
WORTH = 0.005  # shares below this are left out: they would be said as 0 %


class Verdict:
    """Says in a line where an epoch's time went: of the first epoch, and of one whose shares have moved since."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._said: dict[str, float] | None = None

    def lines(self, row: EpochRow, started: Started | None) -> list[str]:
        """Return what is to be said of an epoch: one line, or none."""
        if row.trained is None or row.over is None or not row.over.seconds:
            return []
        shares = time_shares(row)
        if self._said is not None and (row.over.seconds < SHORT or not _moved(self._said, shares)):
            return []
        self._said = shares
        named = [
            f"{said_percent(share, 0)} {name}"
            for name, share in sorted(shares.items(), key=lambda item: -item[1])
            if share >= WORTH
        ]
        line = f"epoch {row.epoch} took {said_duration(row.over.seconds)}: {', '.join(named)}"
        return [line + _advice(shares, started.waits_for if started else "")]


def time_shares(row: EpochRow) -> dict[str, float]:
    """Return what the time of an epoch that is over went into, as shares that add up to 1."""
    assert row.trained is not None and row.over is not None
    waiting = row.trained.seconds * row.trained.waiting
    seconds = {
        "network": row.trained.seconds - waiting,
        "waiting for data": waiting,
        **{f"{split} pass": result.seconds for split, result in row.evaluated.items()},
        "saving": row.over.saving,
    }
    # what is left was the observers' between the epoch's last step and the next one
    seconds["logging and charts"] = max(0.0, row.over.seconds - sum(seconds.values()))
    whole = sum(seconds.values())
    return {name: value / whole for name, value in seconds.items()}


def _moved(before: dict[str, float], now: dict[str, float]) -> bool:
    return any(abs(now.get(name, 0.0) - before.get(name, 0.0)) > MOVED for name in {**before, **now})


def _advice(shares: dict[str, float], waits_for: str) -> str:
    """Return what follows from the shares, where something does."""
    if shares["network"] >= WELL:
        return "; little to gain outside the network"
    return f"; {clean(waits_for)}" if shares["waiting for data"] >= LONG and waits_for else ""


def profile_table(event: Profiled, started: Started | None) -> Iterator[RenderableType]:
    """Yield where the time of an epoch, or of the run, went: what the training did, then what ran beside it."""
    what = "the whole run" if event.epoch is None else f"epoch {event.epoch}"
    trained = [share for share in event.shares if share.threads == 0]
    beside = [share for share in event.shares if share.threads]
    yield Text()
    yield Text(f"Where the time of {what} went: {said_duration(event.seconds)}", style="bold")
    table = _table("in the training's thread", "of all")
    for cells in _rows(trained, event.seconds):
        table.add_row(*cells)
    yield table
    if beside:
        table = _table("beside it, in other threads", "of theirs")
        for share in beside:
            threads = f" ({share.threads} thread{'s' if share.threads > 1 else ''})" if share.depth == 0 else ""
            table.add_row(*_cells(share, share.seconds / (share.threads * event.seconds), threads))
        yield table
    yield from _notes(event, started)
    if event.epoch is not None:
        yield Text()


def _notes(event: Profiled, started: Started | None) -> Iterator[Text]:
    device = next((value for name, value in started.facts if name == "device"), "cpu") if started else "cpu"
    if not device.lower().startswith("cpu"):
        yield Text("The device was waited for at every mark; without --profile the run is faster.")
    if event.epoch is None:
        left_out = f" (without {event.dropped:,} in its middle)" if event.dropped else ""
        yield Text(f"Every span{left_out} as a file for ui.perfetto.dev or chrome://tracing:")
        yield Text(clean(event.trace))


def _table(head: str, share: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(Text(head), min_width=28, overflow="fold")
    for name, width in (("seconds", 9), (share, 9), ("times", 8), ("each", 8)):
        table.add_column(Text(name), justify="right", no_wrap=True, min_width=width)
    return table


def _rows(shares: Sequence[Share], whole: float) -> Iterator[list[Text]]:
    """Yield the lines that matter; "other" is the rest, so that the lines of a depth add up to what they lie in."""

    def within(part: Sequence[Share], depth: int, seconds: float) -> Iterator[list[Text]]:
        heads = [place for place, share in enumerate(part) if share.depth == depth]
        told = 0
        for place, after in zip(heads, [*heads, len(part)][1:], strict=True):
            share = part[place]
            if depth and share.seconds < WORTH * whole:
                continue
            told += 1
            seconds -= share.seconds
            yield _cells(share, share.seconds / whole)
            yield from within(part[place + 1 : after], depth + 1, share.seconds)
        if depth == 0 or (told and seconds >= WORTH * whole):
            yield _cells(Share("other", depth, max(0.0, seconds), 0, 0), max(0.0, seconds) / whole)

    return within(shares, 0, whole)


def _cells(share: Share, part: float, note: str = "") -> list[Text]:
    times = [f"{share.count:,}", said_briefly(share.seconds / share.count)] if share.count else ["", ""]
    name = "  " * share.depth + clean(share.name) + note
    return [Text(cell) for cell in (name, f"{share.seconds:,.2f}", said_percent(part, 1), *times)]
