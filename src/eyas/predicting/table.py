"""Tables with a row for each image, as CSV, JSON lines or Parquet: each file whole or not there."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from eyas.data.images.imageset import FileImages, ImageSet
from eyas.errors import SettingsError, suggest
from eyas.files.atomic import atomic_path
from eyas.files.json_file import strict
from eyas.terminal.clean import STEERING, clean
from eyas.terminal.wording import FORMULA, no_formula

Cell = str | float | bool | None
Kinds = Mapping[str, type]  # of columns: str, float or bool; object: a text that a list's column holds, maybe a number
FORMS = ("csv", "jsonl", "parquet")
GROUP = 10_000  # rows of a Parquet file that are held in memory and written together
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")  # a spreadsheet takes it for what it is


def path_of(images: ImageSet, index: int) -> str:
    """Return the path of an image as `predict` says it; of an image without a file `SET#NUMBER`."""
    files = images.images
    return str(files.path(index)) if isinstance(files, FileImages) else images.place(index)


def check_form(out: str | Path | None, asked: str | None) -> str:
    """Return the form of a table: that of the file's ending; on the terminal what is asked for, else CSV.

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
        import_arrow()
    return form


class Table(Protocol):
    """Takes rows, a cell for each column."""

    def add(self, row: Sequence[Cell]) -> None: ...


@contextlib.contextmanager
def open_table(path: Path, kinds: Kinds) -> Iterator[Table]:
    """Open a file, whose ending says its form, for rows with these columns."""
    with atomic_path(path) as target:
        if (form := path.suffix.lower()) == ".parquet":
            with contextlib.closing(ParquetTable(target, kinds)) as table:
                yield table
        else:
            with target.open("w", encoding="utf-8", newline="") as stream:
                yield CsvTable(stream, kinds) if form == ".csv" else JsonTable(stream, kinds)


def write_table(path: Path, kinds: Kinds, rows: Iterable[Sequence[Cell]]) -> None:
    """Write rows to a file. Raises `SettingsError` for another ending, `FileError` where the disk refuses."""
    check_form(path, None)
    with open_table(path, kinds) as table:
        for row in rows:
            table.add(row)


class CsvTable:
    """A header, then the rows; None is an empty cell.

    A text that a spreadsheet would run gets an apostrophe in front: taken off again, it is the same text.
    """

    def __init__(self, stream: TextIO, kinds: Kinds) -> None:
        self.lines, self.kinds = csv.writer(stream), kinds
        self.said = clean if stream.isatty() else as_utf8
        self.lines.writerow(self.said(no_formula(name)) for name in kinds)

    def add(self, row: Sequence[Cell]) -> None:
        """Write a row."""
        self.lines.writerow(self.text(*cell) for cell in zip(self.kinds.items(), row, strict=True))

    def text(self, column: tuple[str, type], cell: Cell) -> str:
        """Return a cell as text."""
        if isinstance(cell, str):
            if column[0] == "path" and cell.startswith(FORMULA):
                return self.said(f"./{cell}")  # a path stays a path: this names the same file
            return cell if column[1] is object and _NUMBER.fullmatch(cell) else self.said(no_formula(cell))
        if isinstance(cell, bool):
            return str(cell).lower()
        return "" if cell is None else f"{cell:.6f}"


class JsonTable:
    """One JSON object a line."""

    def __init__(self, stream: TextIO, kinds: Kinds) -> None:
        self.stream, self.kinds = stream, kinds

    def add(self, row: Sequence[Cell]) -> None:
        """Write a line."""
        self.stream.write(json_line(strict(dict(zip(self.kinds, row, strict=True)))))


class ParquetTable:
    """Columns of text, float64 and bool, written `GROUP` rows at a time; None is a null."""

    def __init__(self, path: Path, kinds: Kinds) -> None:
        arrow, parquet = import_arrow()
        types = {str: arrow.string(), object: arrow.string(), float: arrow.float64(), bool: arrow.bool_()}
        self.make, self.schema = arrow.table, arrow.schema([(as_utf8(name), types[kinds[name]]) for name in kinds])
        self.columns: list[list[Any]] = [[] for _ in kinds]
        self.file = parquet.ParquetWriter(path, self.schema)

    def add(self, row: Sequence[Cell]) -> None:
        """Take a row."""
        for column, cell in zip(self.columns, row, strict=True):
            column.append(as_utf8(cell) if isinstance(cell, str) else cell)
        if len(self.columns[0]) == GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self.columns[0]:
            self.file.write_table(self.make(self.columns, schema=self.schema))
            self.columns = [[] for _ in self.columns]

    def close(self) -> None:
        """Write what is held, and the file's end."""
        self.flush()
        self.file.close()


def import_arrow() -> tuple[Any, Any]:
    """Return the library for Parquet. Raises `SettingsError` where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SettingsError("A .parquet file needs pyarrow: pip install 'eyas[parquet]'") from None
    return pyarrow, pyarrow.parquet


def as_utf8(text: str) -> str:
    """Return a text with the bytes of a file name that are no UTF-8 as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def json_line(row: Any) -> str:
    """Return a line of JSON, in which controls, directions and undecodable bytes are escapes that say the same."""
    line = json.dumps(row, ensure_ascii=False)
    if not line.isascii():
        line = "".join(json.dumps(one)[1:-1] if unicodedata.category(one) in STEERING else one for one in line)
    return f"{line}\n"
