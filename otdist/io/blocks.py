"""Files that are larger than memory: read block by block, here or by the workers of Dask.

.npy files are read by rows, Parquet files by row groups; files of other kinds have no blocks and
are read whole, one file a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from otdist.core import checks
from otdist.core.extras import require
from otdist.io.arrays import read_npy
from otdist.io.errors import DataError
from otdist.io.formats import is_numeric, table_points, without_index
from otdist.io.reading import Reading
from otdist.io.samples import read_samples

_NUMBERS = 1 << 22
"""Numbers of a block unless asked otherwise: 32 MB of float64."""


@dataclass(frozen=True)
class _Block:
    """Where a block of rows lies; its caller, or a worker, reads it.

    Attributes:
        path: The file.
        kind: Its ending.
        place: First and last row + 1 of a .npy file, row groups of a Parquet file.
        shape: (rows, d).
        dtype: Of the points.
    """

    path: str
    kind: str
    place: tuple[int, int]
    shape: tuple[int, int]
    dtype: np.dtype

    def read(self) -> np.ndarray:
        """The rows, (k, d), in memory of their own."""
        first, last = self.place
        if self.kind == ".npy":
            # Mapped for this block alone: what has been read leaves memory with the block.
            rows = np.load(self.path, mmap_mode="r", allow_pickle=False)[first:last]
            return np.array(rows.reshape(self.shape), dtype=self.dtype)
        if self.kind == ".parquet":
            file = Path(self.path)
            parquet = require("pyarrow.parquet", extra="tables").ParquetFile(file)
            table = parquet.read_row_groups(list(range(first, last)))
            return table_points(file, without_index(file, table, Reading())[0])
        return np.array(read_samples(self.path).points)


def blocks(path: str | Path, *, rows: int | None = None) -> Iterator[np.ndarray]:
    """The points of a file, block by block, for the accumulators of `otdist.streaming`.

    Args:
        path: A file that `read_samples` reads; .npy and .parquet files are never whole in memory.
        rows: Rows of a block; about 4 million numbers when None. Parquet files keep to row groups.

    Yields:
        Arrays of shape (k, d).

    Raises:
        DataError: the file is missing, damaged, or does not hold numbers. Points are not checked
            for NaN here, since what takes the blocks checks them.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "points.npy")
    >>> np.save(file, np.arange(10.0))
    >>> [block.shape for block in blocks(file, rows=4)]
    [(4, 1), (4, 1), (2, 1)]
    """
    for block in _cut(path, rows):
        yield block.read()


def dask_samples(paths: str | Path | Sequence[str | Path], *, rows: int | None = None) -> Any:
    """A dask array (n, d) over files, whose blocks the workers read when they need them.

    Args:
        paths: A file as for `blocks`, or several, one below the other. Workers on other machines
            must see them under the same names.
        rows: Rows of a block, as for `blocks`.

    Raises:
        DataError: as for `blocks`; the files have different numbers of columns or dtypes.
        ImportError: without the extra `dask`.

    >>> import tempfile, pathlib, otdist
    >>> file = pathlib.Path(tempfile.mkdtemp(), "points.npy")
    >>> np.save(file, np.arange(10.0))
    >>> x = dask_samples([file, file], rows=4)
    >>> x.chunks, otdist.wasserstein(x, x + 3).distance
    (((4, 4, 2, 4, 4, 2), (1,)), 3.0)
    """
    delayed = require("dask", extra="dask").delayed
    array = require("dask.array", extra="dask")
    files = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not files:
        raise DataError("paths must name at least one file: got none")
    parts = [block for path in files for block in _cut(path, rows)]
    kinds = {(block.shape[1], block.dtype): block.path for block in parts}
    if len(kinds) > 1:
        listed = ", ".join(f"{path}: {d} columns of {dtype}" for (d, dtype), path in kinds.items())
        raise DataError(f"paths must have the same columns and dtype: {listed}")
    return array.concatenate(
        [
            array.from_delayed(delayed(_Block.read)(block), shape=block.shape, dtype=block.dtype)
            for block in parts
        ]
    )


def _cut(path: str | Path, rows: int | None) -> list[_Block]:
    """The blocks of one file, none of them read."""
    rows = checks.optional(checks.whole, "rows", rows)
    name, file = str(path), Path(path)
    kind = file.suffix.lower()
    if kind in (".npy", ".parquet") and not file.is_file():
        raise DataError(f"{name}: no such file")
    if kind == ".npy":
        return _cut_npy(name, file, rows)
    if kind == ".parquet":
        return _cut_parquet(name, rows)
    points = read_samples(name).points
    return [_Block(name, kind, (0, len(points)), (points.shape[0], points.shape[1]), points.dtype)]


def _cut_npy(name: str, file: Path, rows: int | None) -> list[_Block]:
    array = read_npy(file, None, Reading())[0]
    if array.ndim == 0 or array.size == 0 or array.dtype.kind not in "fiub":
        raise DataError(
            f"{name}: samples must be an array of numbers, found shape {array.shape} "
            f"of dtype {array.dtype}"
        )
    n, d = len(array), array.size // len(array)
    step = rows or max(1, _NUMBERS // d)
    dtype = array.dtype.newbyteorder("=") if array.dtype.kind == "f" else np.dtype(np.float64)
    edges = [(start, min(start + step, n)) for start in range(0, n, step)]
    return [_Block(name, ".npy", edge, (edge[1] - edge[0], d), dtype) for edge in edges]


def _cut_parquet(name: str, rows: int | None) -> list[_Block]:
    try:
        file = require("pyarrow.parquet", extra="tables").ParquetFile(name)
    except require("pyarrow", extra="tables").ArrowInvalid as error:
        raise DataError(f"{name}: is damaged, truncated or not a Parquet file") from error
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    if sum(sizes) == 0:
        raise DataError(f"{name}: no samples")
    columns, _ = without_index(Path(name), file.schema_arrow.empty_table(), Reading())
    for field in columns.schema:
        if not is_numeric(field.type):
            raise DataError(f"{name}: column '{field.name}' is not numeric ({field.type})")
    points = table_points(Path(name), columns)
    d, dtype = points.shape[1], points.dtype
    step = rows or max(1, _NUMBERS // d)
    blocks, start, held = [], 0, 0
    for group, size in enumerate(sizes):
        held += size
        if held >= step or group == len(sizes) - 1:
            blocks.append(_Block(name, ".parquet", (start, group + 1), (held, d), dtype))
            start, held = group + 1, 0
    return [block for block in blocks if block.shape[0]]
