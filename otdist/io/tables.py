"""Tables with columns of numbers, times and categories, by name: what drift is asked about."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from otdist.io.columns import as_categories, missing, parsed, typed
from otdist.io.errors import DataError, reading_file
from otdist.io.formats import json_columns, open_arrow
from otdist.io.kinds import ARROW, LINES, TEXTS, file_of
from otdist.io.reading import Reading
from otdist.io.samples import read_samples
from otdist.io.text import look

_KINDS = {"f": "numeric", "U": "categorical", "M": "times"}


@dataclass(frozen=True, eq=False)
class Table:
    """Columns from a file.

    Attributes:
        path: As the caller gave it.
        columns: Name → float64 (NaN where a cell is missing), datetime64 (NaT) or text (""),
            shape (n,).
        notes: What was done to the data, in words.

    >>> import numpy as np
    >>> table = Table("people.csv", {"age": np.array([40.0, 51.0]), "city": np.array(["A", "B"])})
    >>> table.n, table.d, table.dtype
    (2, 2, '1 numeric, 1 categorical')
    """

    path: str
    columns: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Rows."""
        return len(next(iter(self.columns.values())))

    @property
    def d(self) -> int:
        """Columns."""
        return len(self.columns)

    @property
    def dtype(self) -> str:
        """How many columns are of which kind."""
        found = Counter(column.dtype.kind for column in self.columns.values())
        return ", ".join(
            f"{found[kind]} {word}" for kind, word in _KINDS.items() if found[kind] or kind != "M"
        )


def read_columns(path: str | Path, **stated: Any) -> Table:
    r"""Columns of numbers, times and categories from a file.

    Args:
        path: A .csv, .tsv, .txt, .jsonl, .parquet or .feather file; any other file of
            `read_samples` has columns of numbers, named "0", "1", ….
        **stated: What the file does not say itself, as in `Reading`: sep, decimal, header,
            encoding, missing, columns, exclude, categories, format.

    Returns:
        A column all of whose cells are numbers is numeric, one of dates in ISO form holds times,
        any other one text. An empty cell, NA, NaN, null and the like are one missing cell, and are
        counted in a note.

    Raises:
        DataError: as for `read_samples`; rows of several lengths, two columns of one name, a word
            among numbers or a decimal comma whose meaning must be stated.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "people.csv")
    >>> _ = file.write_text("height;city\n1,7;Rome\nNA;Oslo\n")
    >>> table = read_columns(file)
    >>> table.columns["height"].tolist(), table.dtype
    ([1.7, nan], '1 numeric, 1 categorical')
    """
    name, reading = str(path), Reading(**stated)
    file, _, kind = file_of(name, reading)
    if kind not in (*TEXTS, *ARROW, *LINES):
        files = {
            key: stated[key] for key in ("format", "recursive", "resize", "mode") if key in stated
        }
        samples = read_samples(path, **files)
        names = samples.columns or tuple(str(i) for i in range(samples.d))
        columns = dict(zip(names, samples.points.T, strict=True))
        columns = {key: columns[key].astype(np.float64) for key in reading.chosen(names, name)}
        notes = list(samples.notes)
    else:
        with reading_file(name):
            read = _text if kind in TEXTS else _arrow if kind in ARROW else _lines
            columns, notes = read(file, reading)
    for key in {*reading.categories} & {*columns}:
        columns[key] = as_categories(columns[key])
    gaps = {key: int(missing(column).sum()) for key, column in columns.items()}
    told = [f"{count} in '{key}'" for key, count in gaps.items() if count]
    if told:
        notes.append(f"{name}: missing cells: {', '.join(told)}")
    return Table(name, columns, tuple(notes))


def _text(path: Path, reading: Reading) -> tuple[dict[str, np.ndarray], list[str]]:
    text = look(path, reading)
    if not reading.categories and (points := text.plain()) is not None:
        cells = dict(zip(text.columns, points.T, strict=True))
        return {n: typed(c, f"{path}: column '{n}'", reading) for n, c in cells.items()}, [
            *text.notes
        ]
    rows = [[cells[at] for at in text.places] for _, cells in text.rows()]
    columns, notes = {}, list(text.notes)
    for name, cells in zip(text.columns, zip(*rows, strict=True), strict=True):
        place = f"{path}: column '{name}'"
        category = name in reading.categories
        columns[name], note = parsed(cells, place, reading, text.separator, category=category)
        notes += [note] if note else []
    return columns, notes


def _arrow(path: Path, reading: Reading) -> tuple[dict[str, np.ndarray], list[str]]:
    table, notes = open_arrow(path, reading)
    if not table.num_rows:
        raise DataError(f"{path}: no samples: the table has no rows")
    names = table.column_names
    return {n: typed(table[n], f"{path}: column '{n}'", reading) for n in names}, list(notes)


def _lines(path: Path, reading: Reading) -> tuple[dict[str, np.ndarray], list[str]]:
    columns = json_columns(path, reading)
    return {n: typed(c, f"{path}: column '{n}'", reading) for n, c in columns.items()}, []
