"""The epochs of a run: rows of a table on a terminal, with the columns that fit into its width, or lines of a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from eyas.evaluation.measures import ACCURACY, ALWAYS, LOSSES_FIRST, Measure, measured, numbers_of
from eyas.sinks.story import EpochRow
from eyas.sinks.summary import selected
from eyas.terminal.clean import clean
from eyas.terminal.wording import said_clock, said_duration, said_loss, said_percent, said_rate
from eyas.training.events import EpochTrained, Progress, Started

GAP = 2  # blanks between two columns
MOVED = 0.1  # a share that differs by so much from what was last said is news
SHORT = 1.0  # seconds of an epoch below which shares jump about and nobody waits
WELL = 0.9  # share of the network from which there is little to gain elsewhere
LONG = 0.1  # share of waiting from which its reason is told
WORTH = 0.005  # shares below this are left out: they would be said as 0 %


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its head (two lines), its width, its cell for an epoch."""

    head: str
    width: int
    cell: Callable[[EpochRow], str]


class RowLayout:
    """The columns of a run's table, chosen once, so that every row stands under the same heads."""

    def __init__(self, first: EpochRow, selects_on: str | None, *, epochs: int, width: int) -> None:
        """Choose the columns for the evaluations of the first epoch and a terminal of `width` characters."""
        layouts = _layouts(first, selects_on, epochs)
        fitting = (columns for columns in layouts if sum(one.width + GAP for one in columns) - GAP <= width)
        self._columns = next(fitting, layouts[-1])

    def head(self) -> Table:
        """Return the heads."""
        return self._table([column.head for column in self._columns], style="bold")

    def line(self, row: EpochRow) -> Table:
        """Return the row of one epoch."""
        return self._table([column.cell(row) for column in self._columns], style="green" if row.best else "")

    def _table(self, cells: list[str], *, style: str) -> Table:
        table = Table.grid(padding=(0, GAP, 0, 0))
        for column in self._columns:
            justify = "right" if column.head else "left"  # the mark of the best epoch has no head
            table.add_column(width=column.width, justify=justify, vertical="bottom", no_wrap=True)  # type: ignore[arg-type]
        table.add_row(*(Text(cell) for cell in cells), style=style)
        return table


def _layouts(first: EpochRow, selects_on: str | None, epochs: int) -> list[list[Column]]:
    """Return the possible sets of columns, the richest first."""
    epoch = Column("epoch", max(5, 2 * len(str(epochs)) + 1), lambda row: f"{row.epoch}/{epochs}")
    train = Column("train\nloss", 6, lambda row: said_loss(row.trained.loss) if row.trained else "-")
    rate = Column("lr", 7, lambda row: f"{row.trained.lr:.3g}" if row.trained else "-")
    clock = Column("time", 7, lambda row: said_clock(row.trained.seconds) if row.trained else "-")
    wait = Column("data\nwait", 5, lambda row: said_percent(row.trained.waiting, 0) if row.trained else "-")
    best = f"best, {selected(selects_on)}" if selects_on == "test" else "best"
    mark = [Column("", len(best), lambda row: best if row.best else "")] if selects_on else []
    splits = list(first.evaluated)
    chief = selects_on if selects_on in splits else next(iter(splits), "")
    usual = [one for one in LOSSES_FIRST if one.shown == ALWAYS]
    every = {split: _measures(first, split) for split in splits}

    def columns(measures: dict[str, list[Measure]], *whole: str) -> list[Column]:
        """Return a column for each measure of each set, the accuracy with its interval in those that are `whole`."""
        return [_column(split, one, wide=split in whole) for split, some in measures.items() for one in some]

    both, rest = dict.fromkeys(splits, usual), {split: [ACCURACY] for split in splits}
    return [
        [epoch, train, rate, *columns(every, *splits), clock, wait, *mark],
        [epoch, train, rate, *columns(every, chief), clock, wait, *mark],
        [epoch, train, *columns(every, chief), clock, wait, *mark],
        [epoch, train, *columns(every, chief), clock, *mark],
        [epoch, train, *columns(both, chief), clock, *mark],
        [epoch, train, *columns(rest, chief), clock, *mark],
        [epoch, train, *columns(rest), *mark],
    ]


def _measures(row: EpochRow, split: str) -> list[Measure]:
    """Return the measures of a set that each epoch shows."""
    return measured(numbers_of(row.evaluated[split].scores, ALWAYS), order=LOSSES_FIRST)


def _column(split: str, one: Measure, *, wide: bool) -> Column:
    """Return the column of a measure on a set, the accuracy in a `wide` one with its interval."""

    def cell(row: EpochRow) -> str:
        if split not in row.evaluated:
            return "-"
        scores = row.evaluated[split].scores
        return one.said(numbers_of(scores, ALWAYS)) if with_interval else one.printed(scores.measure(one.name))

    with_interval = wide and one is ACCURACY
    if with_interval:
        return Column(f"{split} {one.label}\n[95 % interval]", 24, cell)
    above, _, below = f"{split} {one.label}".rpartition(" ")
    return Column(f"{above}\n{below}", max(len(above), 8) if one.is_share else 6, cell)


def progress_words(event: Progress | EpochTrained) -> list[str]:
    """Return the loss, the speed and the waiting of a training."""
    waiting = f"waiting for data {said_percent(event.waiting, 0)}"
    return [f"loss {said_loss(event.loss)}", said_rate(event.images_per_second), waiting]


def log_line(row: EpochRow, started: Started | None) -> str:
    """Return an epoch as one line of a log."""
    parts = []
    if row.trained is not None:
        trained, (loss, *speed) = row.trained, progress_words(row.trained)
        parts.append(f"train {loss}, accuracy {said_percent(trained.accuracy)}, lr {trained.lr:.4g}")
        parts.append(", ".join([said_duration(trained.seconds), *speed]))
    for split, result in row.evaluated.items():
        numbers = numbers_of(result.scores, ALWAYS)
        said = (f"{one.label} {one.said_of(numbers)}" for one in _measures(row, split))
        parts.append(f"{split} {', '.join(said)}")
    if started and started.selects_on in row.evaluated:
        parts.append(("best so far, " if row.best else "") + selected(started.selects_on))
    return f"epoch {row.epoch}{f' of {started.epochs}' if started else ''}: {'; '.join(parts)}"


class Verdict:
    """Says in a line where an epoch's time went: of the first epoch, and of one whose shares have moved since."""

    def __init__(self) -> None:
        self._said: dict[str, float] | None = None

    def lines(self, row: EpochRow, started: Started | None) -> list[str]:
        """Return what is to be said of an epoch: one line, or none."""
        if row.trained is None or row.over is None or not row.over.seconds:
            return []
        shares = time_shares(row)
        if (before := self._said) is not None:
            names = {**before, **shares}
            moved = any(abs(shares.get(name, 0.0) - before.get(name, 0.0)) > MOVED for name in names)
            if row.over.seconds < SHORT or not moved:
                return []
        self._said = shares
        largest_first = sorted(shares.items(), key=lambda item: -item[1])
        named = [f"{said_percent(share, 0)} {name}" for name, share in largest_first if share >= WORTH]
        line = f"epoch {row.epoch} took {said_duration(row.over.seconds)}: {', '.join(named)}"
        waits_for = started.waits_for if started else ""
        if shares["network"] >= WELL:
            return [f"{line}; little to gain outside the network"]
        return [f"{line}; {clean(waits_for)}" if shares["waiting for data"] >= LONG and waits_for else line]


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
