"""One reader for all formats: a path in, finite points of shape (n, d) out, or an error with a
place.

A file that cannot be used raises `DataError`, which names the file and, where there is one, the
row, column or key. Nothing is unpickled: numpy files are read with `allow_pickle=False`, torch
files with `weights_only=True`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from otdist.core.shapes import PIXELS, check_pixels, check_shapes
from otdist.io.arrays import Raw
from otdist.io.errors import DataError, reading_file
from otdist.io.images import read_folder
from otdist.io.kinds import READERS, TEXTS, file_of
from otdist.io.reading import Reading

_BLOCK = 2**22
"""Entries that are checked for NaN at a time: a memory-mapped file is read in pieces of 32 MB."""


@dataclass(frozen=True)
class Samples:
    """Points from a file.

    Attributes:
        path: As the caller gave it, with the key.
        points: Finite floats, shape (n, d); memory-mapped where the file is large.
        columns: Names, or None where the file has none.
        shape: Of one sample as stored, where it is an array of rank 2 or more, such as an image.
        dtype: As stored, before any conversion.
        notes: What was done to the data, in words, for the reader of a result.

    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> file = pathlib.Path(tempfile.mkdtemp(), "images.npy")
    >>> np.save(file, np.zeros((5, 8, 8), dtype=np.uint8))
    >>> samples = read_samples(file)
    >>> samples.n, samples.d, samples.shape, samples.dtype
    (5, 64, (8, 8), 'uint8')
    """

    path: str
    points: np.ndarray
    columns: tuple[str, ...] | None
    dtype: str
    notes: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.points.shape[0]

    @property
    def d(self) -> int:
        """Dimension of a sample."""
        return self.points.shape[1]


def read_samples(path: str | Path, **stated: Any) -> Samples:
    r"""Points from a file, one row a sample.

    Args:
        path: A file: .npy, .npz, .csv, .tsv, .txt (these also packed: .csv.gz), .jsonl, .parquet,
            .feather, .h5, .mat or .pt; or a folder of images. `file.npz:key` (also of .h5, .mat and
            .pt) picks an array; the key may be left out where there is only one.
        **stated: What a file does not say itself, as in `Reading`: sep, decimal, header, encoding,
            columns, exclude, format; of folders recursive, resize, mode.

    Returns:
        Samples whose points have shape (n, d). One-dimensional arrays are points on the line;
        arrays of higher rank are flattened per sample, with a note. Integers become float64; floats
        keep their precision.

    Raises:
        DataError: the file is missing, unreadable, truncated, empty, of another format, holds
            something other than numbers, or NaN or infinity; the message names the file and the
            place.
        ImportError: without the extra that reads the file: `tables`, `hdf5` or `images`.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "points.csv")
    >>> _ = file.write_text("height,weight\n1.7,60\n1.8,75\n")
    >>> samples = read_samples(file)
    >>> samples.points.shape, samples.columns
    ((2, 2), ('height', 'weight'))
    """
    name, reading = str(path), Reading(**stated)
    for option in ("missing", "categories"):
        if option in stated:
            raise ValueError(
                f"{option} applies to tables with gaps and categories: see read_columns"
            )
    array, columns, notes = read_raw(name, reading)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name}: samples must be numbers, found an array of dtype {array.dtype}")
    if array.ndim == 0:
        raise DataError(f"{name}: samples must be an array of rank 1 or more, found one number")
    shape = None
    if array.ndim > 2:
        shape = array.shape[1:]
        array = array.reshape(len(array), int(np.prod(shape)))
        scale = f" from 0 to {PIXELS[str(array.dtype)]}" if str(array.dtype) in PIXELS else ""
        what = f"{array.shape[1]} numbers{scale}"
        notes += (f"{name}: each sample of shape {shape} flattened to {what}",)
    points = array[:, None] if array.ndim == 1 else array
    if 0 in points.shape:
        raise DataError(f"{name}: no samples: the array has shape {array.shape}")
    if columns is None and shape is None:
        names = list(map(str, range(points.shape[1])))
        wanted = reading.chosen(names, name)
        points = points if wanted == names else points[:, list(map(int, wanted))]
    elif columns is None and (reading.columns or reading.exclude):
        raise DataError(f"{name}: columns and exclude apply to tables, not to arrays of {shape}")
    dtype = str(points.dtype)
    if points.dtype.kind != "f":
        points = points.astype(np.float64)
    elif not points.dtype.isnative:
        points = points.astype(points.dtype.newbyteorder("="))
    _check_finite(name, points, columns)
    return Samples(name, points, columns, dtype, notes, shape)


def read_weights(path: str | Path, n: int) -> np.ndarray:
    """Weights of n samples from a file with one number a row.

    Args:
        path: As for `read_samples`.
        n: Number of samples that they weigh.

    Raises:
        DataError: as for `read_samples`, or not one non-negative weight a sample, or not of sum 1.

    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> file = pathlib.Path(tempfile.mkdtemp(), "weights.npy")
    >>> np.save(file, [0.25, 0.75])
    >>> read_weights(file, 2).tolist()
    [0.25, 0.75]
    """
    samples = read_samples(path)
    if samples.d != 1:
        raise DataError(f"{path}: weights must be one number a row, found {samples.d} columns")
    if samples.n != n:
        raise DataError(f"{path}: weights must be one a sample: {n} expected, found {samples.n}")
    weights = samples.points[:, 0].astype(np.float64)
    if (weights < 0).any():
        row = int((weights < 0).argmax())
        raise DataError(f"{path}: weights must not be negative: {weights[row]:g} at row {row}")
    if abs(weights.sum() - 1) > 1e-6:
        raise DataError(f"{path}: weights must sum to 1, they sum to {weights.sum():.9g}")
    return weights


def align(x: Samples, y: Samples) -> tuple[Samples, Samples]:
    """The two samples with their columns in one order and their floats in one precision.

    Columns are matched by name where both files have names; the wider of two precisions is used.

    Raises:
        DataError: the dimensions differ, or the shapes or pixels of single samples, or the names.

    >>> import numpy as np
    >>> old = Samples("old.csv", np.array([[1.7, 60.0]]), ("height", "weight"), "float64")
    >>> new = Samples("new.csv", np.array([[75.0, 1.8]]), ("weight", "height"), "float64")
    >>> align(old, new)[1].points.tolist(), align(old, new)[1].notes
    ([[1.8, 75.0]], ('new.csv: columns put in the order of old.csv',))
    """
    check_shapes({x.path: x.shape or (), y.path: y.shape or ()}, DataError)
    if x.shape is not None and y.shape is not None:
        types, largest = {s.path: s.dtype for s in (x, y)}, {s.path: s.points.max() for s in (x, y)}
        y = replace(y, notes=(*y.notes, *check_pixels(types, largest, DataError)))
    if x.columns is not None and y.columns is not None and x.columns != y.columns:
        only_x, only_y = set(x.columns) - set(y.columns), set(y.columns) - set(x.columns)
        if only_x or only_y or len(x.columns) != len(y.columns):
            sides = ((x.path, only_x), (y.path, only_y))
            missing = "; ".join(
                f"only {path} has {sorted(names)}" for path, names in sides if names
            )
            raise DataError(f"{x.path} and {y.path} have different columns: {missing}")
        order = [y.columns.index(name) for name in x.columns]
        note = f"{y.path}: columns put in the order of {x.path}"
        y = replace(y, points=y.points[:, order], columns=x.columns, notes=(*y.notes, note))
    if x.d != y.d:
        raise DataError(f"samples differ in dimension: {x.path} has {x.d}, {y.path} has {y.d}")
    if x.points.dtype != y.points.dtype:
        wide = np.promote_types(x.points.dtype, y.points.dtype)
        x, y = (
            s
            if s.points.dtype == wide
            else replace(
                s,
                points=s.points.astype(wide),
                notes=(*s.notes, f"{s.path}: {s.points.dtype} computed in {wide}"),
            )
            for s in (x, y)
        )
    return x, y


def read_raw(name: str, reading: Reading) -> Raw:
    """The array of a file as it is stored, by the reader of its kind; columns; notes."""
    path, key, kind = file_of(name, reading)
    if kind not in TEXTS and (reading.sep or reading.decimal or reading.header is not None):
        raise DataError(f"{name}: sep, decimal and header apply to text files only")
    if kind and reading.of_images:
        raise DataError(f"{name}: {reading.of_images[0]} applies to folders of images only")
    with reading_file(name):
        if not kind:
            images, notes = read_folder(path, reading)
            return images, None, notes
        return READERS[kind](path, key, reading)


def _check_finite(name: str, points: np.ndarray, columns: tuple[str, ...] | None) -> None:
    step = max(1, _BLOCK // points.shape[1])
    for start in range(0, len(points), step):
        bad = ~np.isfinite(points[start : start + step])
        if bad.any():
            row, column = np.argwhere(bad)[0]
            value = points[start + row, column]
            where = f"column {columns[column]!r}" if columns else f"column {column}"
            raise DataError(
                f"{name}: samples must be finite: {value} at row {start + row}, {where}"
            )
