"""What became of each image, as a row: written as it comes, each file whole or not there."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from eyas.errors import SettingsError
from eyas.files.atomic import atomic_path
from eyas.predicting.table import CsvTable, Table, json_line, open_table

if TYPE_CHECKING:
    from eyas.data.images.greys import Greys
    from eyas.model.classifier import Prediction

_OWN = re.compile(r"path|error|top|(label|probability)(_\d+)?", re.IGNORECASE)  # columns and keys of an answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one file: a prediction, or the reason why there is none."""

    path: str
    prediction: Prediction | None
    error: str = ""
    label: str = ""  # what the file is called: the likeliest class, or `unknown_name`; "" where it cannot be read
    greys: Greys | None = None  # what a file of more than 8 bits holds


def unknown_name(classes: Sequence[str]) -> str:
    """Return `unknown`, with as many underscores in front that no class is called so, however it is capitalised."""
    taken, name = {label.casefold() for label in classes}, "unknown"
    while name in taken:
        name = f"_{name}"
    return name


def free_names(titles: Iterable[str]) -> list[str]:
    """Return names for a list's columns beside an answer's own: `list_` is put in front until a name is free."""
    found: list[str] = []
    for title in titles:
        name = title
        while _OWN.fullmatch(name) or name.casefold() in map(str.casefold, found):
            name = f"list_{name}"
        found.append(name)
    return found


def check_not_read(flag: str, out: str | Path, read: Iterable[str | Path]) -> None:
    """Raise `SettingsError` where a file to be written is one that is read: it would be lost."""
    target = Path(out)
    for path in map(Path, read):
        if target.exists() and path.is_file() and target.samefile(path):
            raise SettingsError(f"{flag} {out}: is the list that is read, and would be lost. Name another file.")


@contextlib.contextmanager
def open_rows(out: str | Path | None, form: str, top: int, names: Sequence[str]) -> Iterator[TableRows | JsonRows]:
    """Open a file, or for None stdout, for answers with their `top` likeliest classes; `names` are a list's columns."""
    more = [name for place in range(2, top + 1) for name in (f"label_{place}", f"probability_{place}")]
    own = ("path", "label", "probability", *more, "error")
    kinds = {name: float if name.startswith("probability") else str for name in own} | dict.fromkeys(names, object)
    if out is None:
        yield JsonRows(sys.stdout, top, names) if form == "jsonl" else TableRows(CsvTable(sys.stdout, kinds), top)
    elif form == "jsonl":
        with atomic_path(Path(out)) as target, target.open("w", encoding="utf-8", newline="") as stream:
            yield JsonRows(stream, top, names)
    else:
        with open_table(Path(out), kinds) as table:
            yield TableRows(table, top)


class TableRows:
    """A row a file: path, label, probability, label_2, probability_2, ..., error, what its list has in its columns."""

    def __init__(self, table: Table, top: int) -> None:
        self.table, self.top = table, top

    def write(self, answer: Answer, kept: Sequence[str] = ()) -> None:
        """Write a row; cells of an unreadable file are empty but for its error."""
        cells: list[Any] = []
        if answer.prediction is not None:
            (_, share), *others = answer.prediction.top(self.top)
            cells = [cell for guess in ((answer.label, share), *others) for cell in guess]
        cells += [None] * (2 * self.top - len(cells))
        self.table.add([answer.path, *cells, answer.error or None, *(cell or None for cell in kept)])


class JsonRows:
    """One JSON object a line."""

    def __init__(self, stream: TextIO, top: int, names: Sequence[str] = ()) -> None:
        self.stream, self.top, self.names = stream, top, names

    def write(self, answer: Answer, kept: Sequence[str] = ()) -> None:
        """Write a line: path, label, probability, top; or path, error; then a list's columns."""
        row: dict[str, Any] = {"path": answer.path, "error": answer.error}
        if answer.prediction is not None:
            said = answer.prediction
            row = {"path": answer.path, "label": answer.label, "probability": said.probability}
            row["top"] = said.top(self.top)
        self.stream.write(json_line(row | dict(zip(self.names, kept, strict=True))))
