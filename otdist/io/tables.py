"""Tables with columns of numbers and of categories, by name: what drift is asked about."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from otdist.core.extras import require
from otdist.io.errors import DataError
from otdist.io.formats import (
    checked_names,
    is_number,
    is_numeric,
    numbers_of,
    open_parquet,
    open_text,
)
from otdist.io.samples import read_samples


@dataclass(frozen=True, eq=False)
class Table:
    """Columns from a file.

    Attributes:
        path: As the caller gave it.
        columns: Name → float64 or text, shape (n,).
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
        text = sum(column.dtype.kind == "U" for column in self.columns.values())
        return f"{self.d - text} numeric, {text} categorical"


def read_columns(path: str | Path) -> Table:
    r"""Columns of numbers and of categories from a file.

    Args:
        path: A .csv, .tsv or .parquet file; any other file of `read_samples` has columns of
            numbers, named "0", "1", … A text file has a line of names unless its first line holds a
            number.

    Returns:
        A column all of whose cells are numbers is numeric, any other one text; an empty cell of
        text is a category of its own.

    Raises:
        DataError: as for `read_samples`; rows of several lengths, an empty cell among numbers, two
            columns of one name, dates in a .parquet file.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "people.csv")
    >>> _ = file.write_text("height,city\n1.7,Rome\n1.8,Oslo\n")
    >>> table = read_columns(file)
    >>> table.columns["city"].tolist(), table.dtype
    (['Rome', 'Oslo'], '1 numeric, 1 categorical')
    """
    file, name = Path(path), str(path)
    kind = file.suffix.lower()
    try:
        if kind in (".csv", ".tsv") and not file.is_dir():
            return Table(name, _text(file))
        if kind == ".parquet" and not file.is_dir():
            table, notes = open_parquet(file)
            return Table(name, _arrow(file, table), notes)
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror or error}") from error
    samples = read_samples(path)
    names = samples.columns or tuple(str(i) for i in range(samples.d))
    return Table(name, dict(zip(names, samples.points.T, strict=True)), samples.notes)


def _text(path: Path) -> dict[str, np.ndarray]:
    separator, (first, *_) = open_text(path)
    named = not any(is_number(cell) for cell in first)
    names = checked_names(path, first) if named else tuple(map(str, range(len(first))))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: two columns are named '{twice}'")
    rows = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=separator)
            for cells in islice(filter(None, reader), int(named), None):
                if len(cells) != len(names):
                    place = f"row {len(rows)} (line {reader.line_num})"
                    raise DataError(
                        f"{path}: {place} has {len(cells)} cells, expected {len(names)}"
                    )
                rows.append(cells)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: is not text: {error}") from error
    if not rows:
        raise DataError(f"{path}: no samples: only a line of column names")
    columns = zip(*rows, strict=True)
    return {n: _column(path, n, list(cells)) for n, cells in zip(names, columns, strict=True)}


def _column(path: Path, name: str, cells: list[str]) -> np.ndarray:
    """Numbers where all cells that hold something do; otherwise text."""
    held = [bool(cell.strip()) for cell in cells]
    words = [cell for cell, there in zip(cells, held, strict=True) if there]
    if not words or not all(is_number(cell) for cell in words):
        return np.array([cell.strip() for cell in cells])
    if not all(held):
        raise DataError(f"{path}: column '{name}' has an empty cell in row {held.index(False)}")
    return np.array([float(cell) for cell in cells])


def _arrow(path: Path, table: Any) -> dict[str, np.ndarray]:
    types = require("pyarrow.types", extra="tables")
    columns = {}
    for name in table.column_names:
        kind = table.schema.field(name).type
        if types.is_temporal(kind):
            raise DataError(f"{path}: column '{name}' holds dates or times ({kind}), not numbers")
        if is_numeric(kind) and not types.is_boolean(kind):
            columns[name] = numbers_of(path, table, name).astype(np.float64)
        else:
            cells = table[name].to_pylist()
            columns[name] = np.array(["" if cell is None else str(cell) for cell in cells])
    if not table.num_rows:
        raise DataError(f"{path}: no samples: the table has no rows")
    return columns
