"""Files of tables: the numbers in them, column names, notes on what was done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from otdist.core.extras import require
from otdist.io.arrays import Raw, no_key
from otdist.io.errors import DataError
from otdist.io.reading import Reading
from otdist.io.text import look, opened_lines


def read_text(path: Path, key: str | None, reading: Reading) -> Raw:
    """Separated values, with or without a line of column names."""
    no_key(path, key)
    text = look(path, reading)
    points, notes = text.points(reading.decimal)
    return points, None if text.names is None else tuple(text.columns), (*text.notes, *notes)


def open_arrow(path: Path, reading: Reading) -> tuple[Any, tuple[str, ...]]:
    """The columns to read of a Parquet or Feather file, as an arrow table, and notes."""
    invalid = require("pyarrow", extra="tables").ArrowInvalid
    with open(path, "rb") as file:
        module = "pyarrow.parquet" if file.read(4) == b"PAR1" else "pyarrow.feather"
    try:
        table = require(module, extra="tables").read_table(path)
    except invalid as error:
        raise DataError(
            f"{path}: is damaged, truncated or not a Parquet file, nor Feather"
        ) from error
    return without_index(path, table, reading)


def without_index(path: Path, table: Any, reading: Reading) -> tuple[Any, tuple[str, ...]]:
    """The columns to read of an arrow table, and notes.

    The row index of a data frame, which pandas stores as a column, is left out unless it is asked
    for by its name.
    """
    stored = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    index = {name for name in stored.get("index_columns", []) if isinstance(name, str)}
    index |= {name for name in table.column_names if name.startswith("__index_level_")}
    index -= {*(reading.columns or ()), *reading.exclude}
    names = [name for name in table.column_names if name not in index]
    notes = tuple(f"{path}: row index '{n}' left out" for n in table.column_names if n in index)
    if not names:
        raise DataError(f"{path}: no columns")
    return table.select(reading.chosen(names, str(path))), notes


def numbers_of(path: Path, table: Any, name: str) -> np.ndarray:
    """A numeric column of an arrow table; an empty cell is an error with its row."""
    column = table[name]
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise DataError(f"{path}: column '{name}' has an empty cell in row {row}")
    if require("pyarrow.types", extra="tables").is_decimal(column.type):
        column = column.cast("float64")
    return column.to_numpy()


def is_numeric(kind: Any) -> bool:
    """Whether an arrow type holds numbers."""
    types = require("pyarrow.types", extra="tables")
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    return any(test(kind) for test in tests)


def read_table(path: Path, key: str | None, reading: Reading) -> Raw:
    """The numeric columns of an arrow table; one that is not numeric is an error, not dropped."""
    no_key(path, key)
    table, notes = open_arrow(path, reading)
    return table_points(path, table), tuple(table.column_names), notes


def json_columns(path: Path, reading: Reading) -> dict[str, list[Any]]:
    """The columns to read of JSON lines, each an object or an array; None where a cell is missing.

    Columns have the names of the first object, or the places in the arrays.
    """
    names: list[str] = []
    rows: list[list[Any]] = []
    for number, line in enumerate(opened_lines(path, reading.encoding), 1):
        if not line.strip():
            continue
        place = f"{path}: row {len(rows)} (line {number})"
        try:
            found = json.loads(line)
        except json.JSONDecodeError as error:
            why = f"{error.msg} at column {error.colno}"
            raise DataError(f"{place} is no JSON: {why}") from None
        if isinstance(found, list):
            found = {str(at): cell for at, cell in enumerate(found)}
        elif not isinstance(found, dict):
            found = {"0": found}
        names = names or list(found)
        if strange := [name for name in found if name not in names]:
            raise DataError(f"{place} has '{strange[0]}', which row 0 has not: it has {names}")
        rows.append([found.get(name) for name in names])
    if not rows:
        raise DataError(f"{path}: is empty")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return {name: columns[name] for name in reading.chosen(names, str(path))}


def read_json_lines(path: Path, key: str | None, reading: Reading) -> Raw:
    """The numbers of JSON lines."""
    no_key(path, key)
    columns = json_columns(path, reading)
    for name, cells in columns.items():
        wrong = next((k for k, cell in enumerate(cells) if not isinstance(cell, int | float)), None)
        if wrong is not None:
            what = "is missing" if cells[wrong] is None else f"is not numeric: {cells[wrong]!r}"
            raise DataError(
                f"{path}: column '{name}' {what} in row {wrong}; else exclude it (--exclude {name})"
            )
    points = np.array(list(columns.values()), dtype=np.float64).T
    return points, None if list(columns) == ["0"] else tuple(columns), ()


def table_points(path: Path, table: Any) -> np.ndarray:
    """The columns of an arrow table, which must all be numbers without gaps, (n, d)."""
    columns = []
    for name in table.column_names:
        kind = table.schema.field(name).type
        if not is_numeric(kind):
            raise DataError(
                f"{path}: column '{name}' is not numeric: '{table[name][0]}' in row 0 ({kind}); "
                f"leave it out with exclude (--exclude {name})"
            )
        columns.append(numbers_of(path, table, name))
    return np.stack(columns, axis=1)
