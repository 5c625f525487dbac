"""Answers as rows of CSV, as JSON lines, as a Parquet table: each written as it comes, each file whole or not there."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from eyas.errors import SettingsError, suggest
from eyas.files.atomic import atomic_path
from eyas.predicting.answer import Answer
from eyas.terminal.clean import STEERING, clean
from eyas.terminal.wording import FORMULA, no_formula

GROUP = 10_000  # rows of a Parquet file that are held in memory and written together
_OWN = re.compile(r"path|error|top|(label|probability)(_\d+)?", re.IGNORECASE)  # columns and keys of an answer
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")  # a spreadsheet takes it for what it is


class Rows(Protocol):
    """Writes answers somewhere, each with the cells that its list had beside the path."""

    def write(self, answer: Answer, kept: Sequence[str] = ()) -> None: ...


def free_names(titles: Iterable[str]) -> list[str]:
    """Return names for a list's columns beside an answer's own: `list_` is put in front until a name is free."""
    found: list[str] = []
    for title in titles:
        name = title
        while _OWN.fullmatch(name) or name.casefold() in map(str.casefold, found):
            name = f"list_{name}"
        found.append(name)
    return found


def check_form(out: str | Path | None, asked: str | None) -> str:
    """Return the form of the rows: that of the file's ending; on the terminal what is asked for, else CSV.

    Raises `SettingsError` for an ending that is not known or not what is asked for, for Parquet on the terminal, and
    where a library is missing.
    """
    form = Path(out).suffix.removeprefix(".").lower() if out else asked or "csv"
    if form not in FORMS:
        raise SettingsError(
            f"{form or out}: unknown form of predictions; there are {', '.join(FORMS)}.{suggest(form, FORMS)}"
        )
    if out and asked not in (None, form):
        raise SettingsError(f"--out {out}: ends in .{form}, and --form is {asked}. Leave --form away.")
    if form == "parquet":
        if not out:
            raise SettingsError("--form parquet: a table is no text for the terminal; write it by --out FILE.parquet.")
        _arrow()
    return form


def check_not_read(flag: str, out: str | Path, read: Iterable[str | Path]) -> None:
    """Raise `SettingsError` where a file to be written is one that is read: it would be lost."""
    target = Path(out)
    for path in map(Path, read):
        if target.exists() and path.is_file() and target.samefile(path):
            raise SettingsError(f"{flag} {out}: is the list that is read, and would be lost. Name another file.")


@contextlib.contextmanager
def open_rows(out: str | Path | None, form: str, top: int, names: Sequence[str] = ()) -> Iterator[Rows]:
    """Open a file, or for None stdout, for answers with their `top` likeliest classes; `names` are a list's columns."""
    if out is None:
        yield WRITERS[form](sys.stdout, top, names)
        return
    with atomic_path(Path(out)) as target:
        if form == "parquet":
            with contextlib.closing(ParquetRows(target, top, names)) as table:
                yield table
        else:
            with target.open("w", encoding="utf-8", newline="") as stream:
                yield WRITERS[form](stream, top, names)


class CsvRows:
    """A header, then a row a file: path, label, probability, label_2, probability_2, ..., error, a list's columns.

    A text that a spreadsheet would run gets an apostrophe in front: taken off again, it is the same text.
    """

    def __init__(self, stream: TextIO, top: int, names: Sequence[str] = ()) -> None:
        self.rows, self.top = csv.writer(stream), top
        self.said = clean if stream.isatty() else _as_utf8
        self.rows.writerow([*columns(top), *map(self._safe, names)])

    def write(self, answer: Answer, kept: Sequence[str] = ()) -> None:
        """Write a row; cells of an unreadable file are empty but for its error."""
        best = _best(answer, self.top)
        cells = [cell for label, share in best for cell in (self._safe(label), f"{share:.6f}")]
        cells += [""] * (2 * self.top - len(cells))
        # a path stays a path: "./" in front of it names the same file
        path = f"./{answer.path}" if answer.path.startswith(FORMULA) else answer.path
        self.rows.writerow([self.said(path), *cells, self._safe(answer.error), *map(self._kept, kept)])

    def _safe(self, text: str) -> str:
        return self.said(no_formula(text))

    def _kept(self, cell: str) -> str:
        return cell if _NUMBER.fullmatch(cell) else self._safe(cell)


class JsonRows:
    """One JSON object a line; what could steer a terminal is written as an escape, which says the same."""

    def __init__(self, stream: TextIO, top: int, names: Sequence[str] = ()) -> None:
        self.stream, self.top, self.names = stream, top, names

    def write(self, answer: Answer, kept: Sequence[str] = ()) -> None:
        """Write a line: path, label, probability, top; or path, error; then a list's columns."""
        row: dict[str, Any] = {"path": answer.path, "error": answer.error}
        if answer.prediction is not None:
            said = answer.prediction
            row = {"path": answer.path, "label": answer.label, "probability": said.probability}
            row["top"] = said.top(self.top)
        row |= zip(self.names, kept, strict=True)
        self.stream.write(_escaped(json.dumps(row, ensure_ascii=False)) + "\n")


class ParquetRows:
    """The columns of `CsvRows` as text and float64, empty cells as nulls, written `GROUP` rows at a time."""

    def __init__(self, path: Path, top: int, names: Sequence[str] = ()) -> None:
        arrow, parquet = _arrow()
        kinds = {"probability": arrow.float64()}
        fields = [(name, kinds.get(name.rstrip("_0123456789"), arrow.string())) for name in columns(top)]
        fields += [(_as_utf8(name), arrow.string()) for name in names]
        self.top, self.schema = top, arrow.schema(fields)
        self.columns: list[list[Any]] = [[] for _ in fields]
        self.table = arrow.table
        self.file = parquet.ParquetWriter(path, self.schema)

    def write(self, answer: Answer, kept: Sequence[str] = ()) -> None:
        """Take a row."""
        cells: list[Any] = [cell for label, share in _best(answer, self.top) for cell in (_as_utf8(label), share)]
        cells += [None] * (2 * self.top - len(cells))
        row = [_as_utf8(answer.path), *cells, _as_utf8(answer.error) or None]
        row += [_as_utf8(cell) or None for cell in kept]
        for column, cell in zip(self.columns, row, strict=True):
            column.append(cell)
        if len(self.columns[0]) == GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is held, and the file's end."""
        self._flush()
        self.file.close()

    def _flush(self) -> None:
        if self.columns[0]:
            self.file.write_table(self.table(self.columns, schema=self.schema))
            self.columns = [[] for _ in self.columns]


WRITERS: dict[str, Callable[[TextIO, int, Sequence[str]], Rows]] = {"csv": CsvRows, "jsonl": JsonRows}
FORMS = (*WRITERS, "parquet")


def columns(top: int) -> list[str]:
    """Return the names of the columns."""
    more = [f"{name}_{place}" for place in range(2, top + 1) for name in ("label", "probability")]
    return ["path", "label", "probability", *more, "error"]


def _best(answer: Answer, top: int) -> list[tuple[str, float]]:
    """Return the likeliest classes with their probabilities, the first under the name that the image is called."""
    if answer.prediction is None:
        return []
    (_, share), *others = answer.prediction.top(top)
    return [(answer.label, share), *others]


def _arrow() -> tuple[Any, Any]:
    """Return the library for Parquet. Raises `SettingsError` where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SettingsError("A .parquet file needs pyarrow: pip install 'eyas[parquet]'") from None
    return pyarrow, pyarrow.parquet


def _as_utf8(text: str) -> str:
    """Return a text with the bytes of a file name that are no UTF-8 as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _escaped(line: str) -> str:
    """Return JSON that says the same, with controls, directions and undecodable bytes as escapes."""
    if line.isascii():
        return line
    parts = (json.dumps(letter)[1:-1] if unicodedata.category(letter) in STEERING else letter for letter in line)
    return "".join(parts)
