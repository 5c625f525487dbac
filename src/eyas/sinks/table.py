"""`metrics.csv`: a row per epoch, whole at any time."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from eyas.errors import DataError, FileError
from eyas.files.atomic import write_text
from eyas.training.events import EpochTrained, Evaluated, Event

COLUMNS = (
    *("epoch", "step", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy"),
    *(
        "test_loss_sum",
        "test_loss",
        "test_accuracy",
        "test_accuracy_low",
        "test_accuracy_high",
        "test_macro_f1",
    ),
    *("seconds", "images_per_second", "waiting", "best"),
)

Row = dict[str, str]


class MetricsTable:
    """Keeps the rows and writes the whole file anew whenever an epoch adds to them."""

    def __init__(self, path: Path, *, resumed_step: int | None = None) -> None:
        """Take over the rows of `path` up to `resumed_step` (None: none of them).

        Raises `DataError` where the file is not such a table, `FileError` where it cannot be read or written.
        """
        self._path = path
        found = read_table(path) if path.exists() else []
        kept = [] if resumed_step is None else [row for row in found if int(row["step"]) <= resumed_step]
        self._rows = {int(row["epoch"]): row for row in kept}
        if len(kept) < len(found):
            self._rewrite()

    def write(self, event: Event) -> None:
        """Add an `EpochTrained` or an `Evaluated` to its epoch's row; other events are not for the table."""
        if isinstance(event, EpochTrained):
            self._add(event.epoch, trained_cells(event))
        elif isinstance(event, Evaluated):
            self._add(event.epoch, evaluated_cells(event))

    def close(self) -> None:
        """Nothing to do: the file is always whole."""

    def _add(self, epoch: int, cells: Row) -> None:
        self._rows.setdefault(epoch, dict.fromkeys(COLUMNS, "")).update(cells)
        self._rewrite()

    def _rewrite(self) -> None:
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(self._rows[epoch] for epoch in sorted(self._rows))
        write_text(self._path, text.getvalue())


def read_table(path: Path) -> list[Row]:
    """Return the rows of a `metrics.csv` as text, "" where a split was not evaluated.

    The last row with `best` 1 is the best epoch: a 1 says that the epoch was the best so far when it ended,
    so that cutting the table off after any row leaves it true.
    Raises `DataError` naming the line that is no such row, `FileError` where the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a table of metrics: {error}.") from error
    for number, row in enumerate(rows, 2):
        whole = set(row) == set(COLUMNS) and None not in row.values()  # a row cut short has fewer cells
        if not whole or not all(map(_is_cell, row, row.values())):
            raise DataError(f"{path}:{number}: not a row of metrics. Restore the file, or move it away.")
    return rows


def _is_cell(name: str, text: str | None) -> bool:
    """Return whether a cell is what its column holds: a whole number for epoch and step, else a number or nothing."""
    if text is None:
        return False
    if name in ("epoch", "step"):
        return text.isascii() and text.isdecimal()
    try:
        float(text or 0)
    except ValueError:
        return False
    return True


def trained_cells(event: EpochTrained) -> Row:
    """Return an epoch's training as cells."""
    numbers = {
        "epoch": event.epoch,
        "step": event.step,
        "lr": event.lr,
        "train_loss": event.loss,
        "train_accuracy": event.accuracy,
        "seconds": event.seconds,
        "images_per_second": event.images_per_second,
        "waiting": event.waiting,
        "best": 0,
    }
    return _cells(numbers)


def evaluated_cells(event: Evaluated) -> Row:
    """Return an evaluation as cells."""
    scores, split = event.scores, event.split
    low, high = scores.interval
    numbers = {
        "epoch": event.epoch,
        "step": event.step,
        f"{split}_loss_sum": scores.loss_sum,
        f"{split}_loss": scores.loss,
        f"{split}_accuracy": scores.accuracy,
        f"{split}_accuracy_low": low,
        f"{split}_accuracy_high": high,
        f"{split}_macro_f1": scores.macro_f1,
    }
    if event.selects:
        numbers["best"] = int(event.improved)
    return _cells(numbers)


def _cells(numbers: dict[str, float]) -> Row:
    """Return the numbers that have a column, written so that reading gives the same number back."""
    known = {name: number for name, number in numbers.items() if name in COLUMNS and number == number}
    return {name: str(number) if isinstance(number, int) else repr(float(number)) for name, number in known.items()}
