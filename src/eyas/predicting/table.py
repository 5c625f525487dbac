"""A table with a row for each image of a labelled set, as CSV, JSON lines or Parquet: whole or not there."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from eyas.data.images.imageset import FileImages, ImageSet
from eyas.files.atomic import atomic_path
from eyas.files.json_file import strict
from eyas.predicting.rows import _arrow, _as_utf8, _escaped, check_form
from eyas.terminal.wording import FORMULA, no_formula

Cell = str | float | bool | None


def path_of(images: ImageSet, index: int) -> str:
    """Return the path of an image as `predict` says it; of an image without a file `SET#NUMBER`."""
    files = images.images
    return str(files.path(index)) if isinstance(files, FileImages) else images.place(index)


def write_table(path: Path, kinds: Mapping[str, type], rows: Iterable[Sequence[Cell]]) -> None:
    """Write rows of cells to a file whose ending says its form; `kinds` are the columns: of str, float or bool.

    No CSV has a cell that a spreadsheet would run. Raises `SettingsError` for another ending, `FileError` where the
    disk refuses the file.
    """
    form = check_form(path, None)
    with atomic_path(path) as target:
        if form == "parquet":
            arrow, parquet = _arrow()
            types = {str: arrow.string(), float: arrow.float64(), bool: arrow.bool_()}
            columns = zip(*rows, strict=True)
            cells = [[_as_utf8(cell) if isinstance(cell, str) else cell for cell in column] for column in columns]
            schema = arrow.schema([(name, types[kind]) for name, kind in kinds.items()])
            parquet.write_table(arrow.table(cells or [[] for _ in kinds], schema=schema), target)
            return
        with target.open("w", encoding="utf-8", newline="") as stream:
            if form == "csv":
                table = csv.writer(stream)
                table.writerow(kinds)
                table.writerows([_csv_cell(*cell) for cell in zip(kinds, row, strict=True)] for row in rows)
            else:
                for row in rows:
                    line = strict(dict(zip(kinds, row, strict=True)))
                    stream.write(_escaped(json.dumps(line, ensure_ascii=False)) + "\n")


def _csv_cell(name: str, cell: Cell) -> str:
    if isinstance(cell, str):
        path = name == "path" and cell.startswith(FORMULA)  # "./" in front of it names the same file
        return _as_utf8(f"./{cell}" if path else no_formula(cell))
    if isinstance(cell, bool):
        return str(cell).lower()
    return "" if cell is None else f"{cell:.6f}"
