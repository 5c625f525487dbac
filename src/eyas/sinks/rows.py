"""The epochs of a run: rows of a table on a terminal, with the columns that fit into its width, or lines of a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rich.table import Table
from rich.text import Text

from eyas.sinks.story import EpochRow
from eyas.sinks.summary import selected
from eyas.sinks.wording import (
    said_accuracy,
    said_clock,
    said_duration,
    said_interval,
    said_loss,
    said_percent,
    said_rate,
)
from eyas.training.events import EpochTrained, Started

GAP = 2  # blanks between two columns


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its head (two lines), its width, its cell for an epoch."""

    head: str
    width: int
    cell: Callable[[EpochRow], str]


class RowLayout:
    """The columns of a run's table, chosen once, so that every row stands under the same heads."""

    def __init__(self, splits: tuple[str, ...], selects_on: str | None, *, epochs: int, width: int) -> None:
        """Choose the columns for these evaluations and a terminal of `width` characters."""
        layouts = _layouts(splits, selects_on, epochs)
        self._columns = next(
            (columns for columns in layouts if _width(columns) <= width),
            layouts[-1],
        )

    def head(self) -> Table:
        """Return the heads."""
        return self._table([column.head for column in self._columns], style="bold")

    def line(self, row: EpochRow) -> Table:
        """Return the row of one epoch."""
        return self._table([column.cell(row) for column in self._columns], style="green" if row.best else "")

    def _table(self, cells: list[str], *, style: str) -> Table:
        table = Table.grid(padding=(0, GAP, 0, 0))
        for column in self._columns:
            mark = column.head == ""
            justify = "left" if mark else "right"
            table.add_column(width=column.width, justify=justify, vertical="bottom", no_wrap=True)  # type: ignore[arg-type]
        table.add_row(*(Text(cell) for cell in cells), style=style)
        return table


def _layouts(splits: tuple[str, ...], selects_on: str | None, epochs: int) -> list[list[Column]]:
    """Return the possible sets of columns, the richest first."""
    epoch = Column("epoch", max(5, 2 * len(str(epochs)) + 1), lambda row: f"{row.epoch}/{epochs}")
    train = Column("train\nloss", 6, lambda row: said_loss(row.trained.loss) if row.trained else "-")
    rate = Column("lr", 7, lambda row: f"{row.trained.lr:.3g}" if row.trained else "-")
    clock = Column("time", 7, lambda row: said_clock(row.trained.seconds) if row.trained else "-")
    wait = Column("data\nwait", 5, lambda row: said_percent(row.trained.waiting, 0) if row.trained else "-")
    best = f"best, {selected(selects_on)}" if selects_on == "test" else "best"
    mark = [Column("", len(best), lambda row: best if row.best else "")] if selects_on else []
    chief = selects_on if selects_on in splits else next(iter(splits), "")
    full = [column for split in splits for column in (_loss(split), _interval(split))]
    short = [
        column
        for split in splits
        for column in (_loss(split), _interval(split) if split == chief else _accuracy(split))
    ]
    least = [_interval(split) if split == chief else _accuracy(split) for split in splits]
    return [
        [epoch, train, rate, *full, clock, wait, *mark],
        [epoch, train, rate, *short, clock, wait, *mark],
        [epoch, train, *short, clock, wait, *mark],
        [epoch, train, *short, clock, *mark],
        [epoch, train, *least, clock, *mark],
        [epoch, train, *map(_accuracy, splits), *mark],
    ]


def _width(columns: list[Column]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def _loss(split: str) -> Column:
    return Column(f"{split}\nloss", 6, partial(_loss_cell, split))


def _accuracy(split: str) -> Column:
    return Column(f"{split}\naccuracy", 8, partial(_accuracy_cell, split))


def _interval(split: str) -> Column:
    return Column(f"{split} accuracy\n[95 % interval]", 24, partial(_interval_cell, split))


def _loss_cell(split: str, row: EpochRow) -> str:
    return said_loss(row.evaluated[split].scores.loss) if split in row.evaluated else "-"


def _accuracy_cell(split: str, row: EpochRow) -> str:
    return said_percent(row.evaluated[split].scores.accuracy) if split in row.evaluated else "-"


def _interval_cell(split: str, row: EpochRow) -> str:
    return said_interval(row.evaluated[split].scores) if split in row.evaluated else "-"


def log_line(row: EpochRow, started: Started | None) -> str:
    """Return an epoch as one line of a log."""
    parts = [_trained_words(row.trained)] if row.trained else []
    for split, result in row.evaluated.items():
        accuracy = said_accuracy(result.scores)
        parts.append(f"{split} loss {said_loss(result.scores.loss)}, accuracy {accuracy}")
    if started and started.selects_on in row.evaluated:
        parts.append(("best so far, " if row.best else "") + selected(started.selects_on))
    return f"epoch {row.epoch}{f' of {started.epochs}' if started else ''}: {'; '.join(parts)}"


def _trained_words(event: EpochTrained) -> str:
    speed = f"{said_duration(event.seconds)}, {said_rate(event.images_per_second)}"
    return (
        f"train loss {said_loss(event.loss)}, accuracy {said_percent(event.accuracy)}, lr {event.lr:.4g}; "
        f"{speed}, waiting for data {said_percent(event.waiting, 0)}"
    )
