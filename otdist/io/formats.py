"""One function a format: the array in the file, its column names, notes on what was done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from otdist.core.extras import require
from otdist.io.errors import DataError
from otdist.io.reading import Reading
from otdist.io.text import look

Raw = tuple[np.ndarray, tuple[str, ...] | None, tuple[str, ...]]
"""Array of any rank and dtype, column names or None, notes."""

_MAP_FROM = 2**26
"""Bytes from which a .npy file is mapped into memory rather than read."""


def _no_key(path: Path, key: str | None) -> None:
    if key is not None:
        raise DataError(f"{path}:{key}: a {path.suffix} file has no keys")


def read_npy(path: Path, key: str | None, reading: Reading) -> Raw:
    """A numpy array, mapped when large."""
    _no_key(path, key)
    mode = "r" if path.stat().st_size >= _MAP_FROM else None
    try:
        return np.load(path, mmap_mode=mode, allow_pickle=False), None, ()
    except (ValueError, EOFError) as error:
        raise DataError(f"{path}: {_numpy_reason(error)}") from error


def read_npz(path: Path, key: str | None, reading: Reading) -> Raw:
    """One array of an archive."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: not a .npz archive")
            return archive[_choose(path, key, list(archive.files))], None, ()
    except DataError:
        raise
    except (ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: {_numpy_reason(error)}") from error


def _numpy_reason(error: Exception) -> str:
    if "allow_pickle" in str(error) or "Object arrays" in str(error):
        return "holds Python objects (a pickle), which are never loaded; save plain numbers"
    return f"is damaged or truncated ({error})"


def _choose(path: Path, key: str | None, available: list[str]) -> str:
    """The wanted key, or the only one."""
    listed = ", ".join(available) or "none"
    if key is None and len(available) == 1:
        return available[0]
    if key is None:
        raise DataError(f"{path}: which array? write {path}:KEY with KEY one of: {listed}")
    if key not in available:
        raise DataError(f"{path}: no key '{key}', available: {listed}")
    return key


def read_torch(path: Path, key: str | None, reading: Reading) -> Raw:
    """A tensor, or one tensor of a dictionary; code in the file is refused, not run."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises pickle, runtime, zip and key errors for damaged files
        if "weights_only" in str(error):
            reason = "holds Python objects, which are never loaded; save a tensor"
        else:
            reason = "is damaged, truncated or not a torch file"
        raise DataError(f"{path}: {reason}") from error
    if isinstance(content, dict):
        tensors = {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
        name = f"{path}:{key}"
        content = tensors[_choose(path, key, list(tensors))]
    else:
        name = str(path)
        if key is not None:
            raise DataError(f"{path}:{key}: the file holds no dictionary, so it has no keys")
    if not isinstance(content, torch.Tensor):
        raise DataError(f"{name}: samples must be a tensor, found {type(content).__name__}")
    tensor = content.detach().to_dense() if content.layout != torch.strided else content.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.float().numpy(), None, (f"{name}: bfloat16 computed in float32",)
    return tensor.numpy(), None, ()


def read_text(path: Path, key: str | None, reading: Reading) -> Raw:
    """Separated values, with or without a line of column names."""
    _no_key(path, key)
    text = look(path, reading)
    points, notes = text.points(reading.decimal)
    return points, None if text.names is None else tuple(text.columns), (*text.notes, *notes)


def open_parquet(path: Path, reading: Reading) -> tuple[Any, tuple[str, ...]]:
    """The columns to read, as an arrow table, and notes."""
    parquet = require("pyarrow.parquet", extra="tables")
    invalid = require("pyarrow", extra="tables").ArrowInvalid
    try:
        table = parquet.read_table(path)
    except invalid as error:
        raise DataError(f"{path}: is damaged, truncated or not a Parquet file") from error
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
    """The numeric columns of a Parquet table; one that is not numeric is an error, not dropped."""
    _no_key(path, key)
    table, notes = open_parquet(path, reading)
    return table_points(path, table), tuple(table.column_names), notes


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
