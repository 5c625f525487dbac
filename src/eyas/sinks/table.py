"""`metrics.csv`: a row per epoch, whole at any time."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from eyas.evaluation.measures import LOSSES_FIRST, further, numbers_of
from eyas.files.atomic import write_text
from eyas.run_folder.record import COLUMNS as COLUMNS
from eyas.run_folder.record import Row
from eyas.run_folder.record import read_table as read_table
from eyas.training.events import EpochTrained, Evaluated, Event


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
        if isinstance(event, EpochTrained | Evaluated):
            self._rows.setdefault(event.epoch, {}).update(cells(event))
            self._rewrite()

    def close(self) -> None:
        """Nothing to do: the file is always whole."""

    def _rewrite(self) -> None:
        text = io.StringIO()
        more = dict.fromkeys(name for row in self._rows.values() for name in row if name not in COLUMNS)
        table = csv.DictWriter(text, (*COLUMNS, *more), restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(self._rows[epoch] for epoch in sorted(self._rows))
        write_text(self._path, text.getvalue())


def cells(event: EpochTrained | Evaluated) -> Row:
    """Return the numbers of an event as cells, written so that reading gives the same number back."""
    numbers: dict[str, float] = {"epoch": event.epoch, "step": event.step}
    if isinstance(event, EpochTrained):
        numbers |= {"lr": event.lr, "train_loss": event.loss, "train_accuracy": event.accuracy, "best": 0}
        numbers |= {name: getattr(event, name) for name in ("seconds", "images_per_second", "waiting")}
        more = []
    else:
        found = numbers_of(event.scores)
        for one in (*LOSSES_FIRST, *further(found)):
            low, high = found[one.interval] if one.interval else (float("nan"), float("nan"))
            column = f"{event.split}_{one.name}"
            numbers |= {column: found[one.name], f"{column}_low": low, f"{column}_high": high}
        more = [f"{event.split}_{one.name}{end}" for one in further(found) for end in ("", "_low", "_high")]
        numbers |= {"best": int(event.improved)} if event.selects else {}
    known = {name: number for name, number in numbers.items() if name in (*COLUMNS, *more) and number == number}
    return {name: str(number) if isinstance(number, int) else repr(float(number)) for name, number in known.items()}
