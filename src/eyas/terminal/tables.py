"""Tables on a terminal: without lines, their heads bold; foreign text in them is shown, never obeyed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from eyas.terminal.clean import clean


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[str] = (),
    widths: Mapping[str, int] | None = None,
) -> Table:
    """Return rows of cells under their heads; columns named in `right` hold numbers, `widths` are least widths."""
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        number, width = head in right, (widths or {}).get(head)
        justify, overflow = ("right", "ellipsis") if number else ("left", "fold")
        found.add_column(Text(clean(head)), justify=justify, overflow=overflow, no_wrap=number, min_width=width)  # type: ignore[arg-type]
    for row in rows:
        found.add_row(*(Text(clean(cell)) for cell in row))
    return found


def pairs(rows: Iterable[tuple[str, str]]) -> Table:
    """Return two aligned columns, what and its value; a `warning` is yellow."""
    found = Table.grid(padding=(0, 2, 0, 0))
    found.add_column(style="dim", no_wrap=True)
    found.add_column(overflow="fold")
    for what, value in rows:
        found.add_row(Text(clean(what)), Text(clean(value)), style="yellow" if what == "warning" else None)
    return found
