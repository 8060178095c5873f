"""Tables of a report on a console, whatever its width: nothing that is shown is cut off.

Where a table is too wide, columns leave it in the order of `LEAVING`; names, estimates, floors and
p-values stay. A ranking leaves no sample out, but goes on below with those that did not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from otdist.evaluation.report.tables import WORDS, Cells

LEAVING = ("effect", "certified", "at half size", "interval")
"""What a reader misses least comes first."""
_NOTE = 16  # characters of a note beside each other


def fitted(console: Any, cells: Cells) -> Iterator[Any]:
    """Rich tables that fit the console: one without the columns that left, or several parts."""
    if "estimate" in cells[0]:
        leaving = [name for name in LEAVING if name in cells[0]]
        while leaving and not _fits(console, cells):
            gone = cells[0].index(leaving.pop(0))
            cells = _columns(cells, [k for k in range(len(cells[0])) if k != gone])
        yield table(cells)
        return
    heads = [0, 1] if "floor" in cells[0] else [0]
    rest = list(range(len(heads), len(cells[0])))
    while rest:
        count = len(rest)
        while count > 1 and not _fits(console, _columns(cells, heads + rest[:count])):
            count -= 1
        yield table(_columns(cells, heads + rest[:count]))
        rest = rest[count:]


def table(cells: Cells) -> Any:
    """A rich table; notes wrap, and nothing else does."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    headings, rows = cells
    made = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        justify = "left" if heading in WORDS else "right"
        made.add_column(Text(heading), justify=justify, no_wrap=heading != "note")
    for row in rows:
        made.add_row(*map(Text, row))  # not strings, in which [x] is markup
    return made


def _columns(cells: Cells, kept: list[int]) -> Cells:
    headings, rows = cells
    return [headings[k] for k in kept], [[row[k] for k in kept] for row in rows]


def _fits(console: Any, cells: Cells) -> bool:
    """Whether there is room for the columns as they are, and for some words of each note."""
    from rich.measure import Measurement

    headings, rows = cells
    short = [
        [cell[:_NOTE] if name == "note" else cell for name, cell in zip(headings, row, strict=True)]
        for row in rows
    ]
    wide = console.options.update(max_width=10_000)
    return Measurement.get(console, wide, table((headings, short))).maximum <= console.width
