"""One function a format: the array in the file, its column names, notes on what was done."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from otdist.core.extras import require
from otdist.io.errors import DataError

Raw = tuple[np.ndarray, tuple[str, ...] | None, tuple[str, ...]]
"""Array of any rank and dtype, column names or None, notes."""

_MAP_FROM = 2**26
"""Bytes from which a .npy file is mapped into memory rather than read."""


def _no_key(path: Path, key: str | None) -> None:
    if key is not None:
        raise DataError(f"{path}:{key}: a {path.suffix} file has no keys")


def read_npy(path: Path, key: str | None) -> Raw:
    """A numpy array, mapped when large."""
    _no_key(path, key)
    mode = "r" if path.stat().st_size >= _MAP_FROM else None
    try:
        return np.load(path, mmap_mode=mode, allow_pickle=False), None, ()
    except (ValueError, EOFError) as error:
        raise DataError(f"{path}: {_numpy_reason(error)}") from error


def read_npz(path: Path, key: str | None) -> Raw:
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


def read_torch(path: Path, key: str | None) -> Raw:
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


def open_parquet(path: Path) -> tuple[Any, tuple[str, ...]]:
    """An arrow table without the row index that pandas adds, and notes."""
    parquet = require("pyarrow.parquet", extra="tables")
    invalid = require("pyarrow", extra="tables").ArrowInvalid
    try:
        table = parquet.read_table(path)
    except invalid as error:
        raise DataError(f"{path}: is damaged, truncated or not a Parquet file") from error
    return without_index(path, table)


def without_index(path: Path, table: Any) -> tuple[Any, tuple[str, ...]]:
    """An arrow table without the row index that pandas adds, and notes."""
    index = [name for name in table.column_names if name.startswith("__index_level_")]
    notes = tuple(f"{path}: row index '{name}' left out" for name in index)
    table = table.drop_columns(index)
    if not table.column_names:
        raise DataError(f"{path}: no columns")
    return table, notes


def numbers_of(path: Path, table: Any, name: str) -> np.ndarray:
    """A numeric column of an arrow table; an empty cell is an error with its row."""
    column = table[name]
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise DataError(f"{path}: column '{name}' has an empty cell in row {row}")
    return column.to_numpy()


def is_numeric(kind: Any) -> bool:
    """Whether an arrow type holds numbers."""
    types = require("pyarrow.types", extra="tables")
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def read_table(path: Path, key: str | None) -> Raw:
    """The numeric columns of a Parquet table; one that is not numeric is an error, not dropped."""
    _no_key(path, key)
    table, notes = open_parquet(path)
    return table_points(path, table), tuple(table.column_names), notes


def table_points(path: Path, table: Any) -> np.ndarray:
    """The columns of an arrow table, which must all be numbers without gaps, (n, d)."""
    columns = []
    for name in table.column_names:
        kind = table.schema.field(name).type
        if not is_numeric(kind):
            raise DataError(
                f"{path}: column '{name}' is not numeric: '{table[name][0]}' in row 0 ({kind})"
            )
        columns.append(numbers_of(path, table, name))
    return np.stack(columns, axis=1)


def open_text(path: Path) -> tuple[str, list[list[str]]]:
    """The separator and the cells of the first two lines; an empty file is an error."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            separator = max(",;\t", key=first.count)
            file.seek(0)
            head = list(itertools.islice(csv.reader(file, delimiter=separator), 2))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: is not text: {error}") from error
    if not head or not head[0]:
        raise DataError(f"{path}: is empty")
    return separator, head


def read_text(path: Path, key: str | None) -> Raw:
    """Separated values, with or without a line of column names."""
    _no_key(path, key)
    separator, head = open_text(path)
    names = _names(path, head)
    if names is not None and len(head) == 1:
        raise DataError(f"{path}: no samples: only a line of column names")
    try:
        array = np.loadtxt(
            path,
            delimiter=separator,
            skiprows=0 if names is None else 1,
            ndmin=2,
            dtype=np.float64,
            comments=None,
            quotechar='"',
            encoding="utf-8-sig",
        )
    except ValueError as error:
        raise _text_error(path, separator, names) or DataError(f"{path}: {error}") from error
    if names is not None and array.size and array.shape[1] != len(names):
        raise DataError(f"{path}: {len(names)} column names for {array.shape[1]} columns")
    return array, names, ()


def is_number(cell: str) -> bool:
    """Whether a cell holds a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _names(path: Path, head: list[list[str]]) -> tuple[str, ...] | None:
    """The first line, if it holds a word where the second line holds a number."""
    first = head[0]
    words = [not is_number(cell) for cell in first]
    data = len(head) > 1 and len(head[1]) == len(first) and not all(words)
    if not any(words) or (data and words == [not is_number(cell) for cell in head[1]]):
        return None
    return checked_names(path, first)


def checked_names(path: Path, first: list[str]) -> tuple[str, ...]:
    """The first line as names of columns; a first one that is empty is a row index."""
    if not first[0].strip() and len(first) > 1:
        raise DataError(
            f"{path}: the first column has no name and looks like a row index; "
            "name it, or leave it out (in pandas, to_csv(index=False))"
        )
    return tuple(cell.strip() for cell in first)


def _text_error(path: Path, separator: str, names: tuple[str, ...] | None) -> DataError | None:
    """Read again, slowly, to name the first cell that is not a number."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=separator)
        width, skipped = (None, 0) if names is None else (len(names), 1)
        for row, cells in enumerate(itertools.islice(filter(None, reader), skipped, None)):
            place = f"row {row} (line {reader.line_num})"
            width = width or len(cells)
            if len(cells) != width:
                return DataError(f"{path}: {place} has {len(cells)} cells, expected {width}")
            for column, cell in enumerate(cells):
                if not is_number(cell):
                    name = f"'{names[column]}'" if names else f"{column}"
                    what = f"'{cell}'" if cell.strip() else "an empty cell"
                    return DataError(f"{path}: column {name} is not numeric: {what} in {place}")
    return None
