"""One-hot columns of a list, a column for each class -> one column of labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eyas.data.images.packed import Coded
from eyas.data.lists.layout import Layout
from eyas.data.lists.paths import Problems
from eyas.data.lists.splits import MINUS, NO, YES
from eyas.errors import DataError


def read_hot(
    columns: list[Coded], layout: Layout, lines: NDArray[np.int32], problems: Problems
) -> tuple[Coded, tuple[str, ...]]:
    """Return the header of the column that holds a 1 as each line's label, and a note on headers that no line has.

    A line with none or several becomes a problem. Raises `DataError` for headers that are empty or occur twice.
    """
    sample, titles = layout.sample, [layout.sample.title(column) for column in layout.hot]
    if "" in titles or len(set(titles)) < len(titles):
        raise DataError(f"{sample.source}: the columns {sample.told(layout.hot)} need different names: their classes.")
    count, last = np.zeros(len(lines), np.int32), np.zeros(len(lines), np.int32)
    for number, (title, column) in enumerate(zip(titles, columns, strict=True)):
        marks = _marks(column, title, lines, problems)
        count += marks
        last[marks] = number
    wrong = np.flatnonzero(count != 1)
    remedy = sample.flag(path=layout.columns["path"] or 0, label=layout.hot[0])
    for row in wrong.tolist():
        reason = f"{count[row] or 'none'} of the columns {_some(titles)} {'hold' if count[row] > 1 else 'holds'} a 1"
        problems.append((int(lines[row]), f"{reason} (multi-label): an image has one class. {remedy} uses one column"))
    used = np.unique(last[count == 1])
    idle = [title for number, title in enumerate(titles) if number not in used]
    notes = (f"no line has a 1 in the column{'s' * (len(idle) > 1)} {_some(idle)}: no class",) if idle else ()
    codes = np.searchsorted(used, np.minimum(last, used.max(initial=0))).astype(np.int32)
    return Coded(codes, [titles[number] for number in used] or titles[:1]), notes


def _marks(column: Coded, title: str, lines: NDArray[np.int32], problems: Problems) -> NDArray[np.bool_]:
    """Return where a column holds a 1; what is neither 1 nor 0 (or -1 for 0) becomes a problem."""
    no = MINUS if MINUS & set(column.texts) and not NO & set(column.texts) else NO
    other = np.array([text not in YES | no for text in column.texts], np.bool_)
    for row in np.flatnonzero(other[column.codes]).tolist() if other.any() else ():
        text = column.texts[column.codes[row]]
        problems.append((int(lines[row]), f"{text!r} is neither 1 nor 0 in the column {title}"))
    found: NDArray[np.bool_] = np.array([text in YES for text in column.texts], np.bool_)[column.codes]
    return found


def _some(titles: list[str]) -> str:
    return ", ".join(titles[:8]) + f" and {len(titles) - 8} more" * (len(titles) > 8)
