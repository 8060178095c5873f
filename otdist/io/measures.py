"""Files that hold masses instead of samples: pixels that weigh, the bins of a histogram."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from otdist.core.extras import require
from otdist.io.errors import DataError, reading_file
from otdist.io.images import ENDINGS, read_image
from otdist.io.reading import Reading
from otdist.io.samples import Samples, read_raw, read_samples

Weighted = tuple[Samples, np.ndarray]
"""Points that have mass, and their weights (n,), of sum one."""


def read_grid(path: str | Path, **stated: Any) -> Weighted:
    """The pixels of an image, or voxels of a volume, that have mass.

    Args:
        path: An image file of grey pixels, or an array of rank 2 or 3 in .npy, .npz:key or .pt.
        **stated: None: a file of pixels has no columns, separators or header.

    Returns:
        Points ``(row, column)``, spacing 1, shape (n, 2), or (n, 3) of a volume; weights (n,).

    Raises:
        DataError: unreadable, colour channels, negative or non-finite masses, no mass at all.
        ImportError: an image file without the extra `images`.

    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> file = pathlib.Path(tempfile.mkdtemp(), "image.npy")
    >>> np.save(file, np.array([[0, 3], [0, 1]]))
    >>> samples, weights = read_grid(file)
    >>> samples.points.tolist(), weights.tolist()
    ([[0.0, 1.0], [1.0, 1.0]], [0.75, 0.25])
    """
    from otdist.masses import grid  # and torch, which a file may fail without

    name = str(path)
    wrong = [option for option, value in stated.items() if value]
    if wrong:
        raise DataError(f"{name}: {wrong[0]} applies to tables, not to pixels")
    if Path(name).suffix.lower() in ENDINGS:
        with reading_file(name):
            pixels, notes = read_image(require("PIL.Image", extra="images"), Path(name)), ()
    else:
        pixels, _, notes = read_raw(name, Reading())
    return _weighted(name, lambda: grid(pixels), pixels, "pixels", notes)


def read_histogram(path: str | Path, **stated: Any) -> Weighted:
    r"""A table with one row for each bin: its centre, and its count.

    Args:
        path: As for `read_samples`, with two columns.
        **stated: As for `read_samples`.

    Returns:
        Centres of the bins with mass, in rising order, shape (n, 1); weights (n,).

    Raises:
        DataError: unreadable, another number of columns, a centre twice, negative counts, none.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "counts.csv")
    >>> _ = file.write_text("height,count\n1.5,2\n1.6,0\n1.7,6\n")
    >>> samples, weights = read_histogram(file)
    >>> samples.points[:, 0].tolist(), weights.tolist()
    ([1.5, 1.7], [0.25, 0.75])
    """
    from otdist.masses import histogram

    table = read_samples(path, **stated)
    if table.d != 2 or table.shape is not None:
        raise DataError(
            f"{table.path}: a histogram has two columns, the centres of bins and their counts: "
            f"found {table.d}"
        )
    order = np.argsort(table.points[:, 0], kind="stable")
    centres, counts = table.points[order].astype(np.float64).T
    if (np.diff(centres) == 0).any():
        twice = centres[1:][np.diff(centres) == 0][0]
        raise DataError(f"{table.path}: the bin at {twice:g} stands there twice")
    return _weighted(table.path, lambda: histogram(counts, centres), counts, "bins", table.notes)


def _weighted(
    name: str, build: Callable[[], Any], masses: np.ndarray, what: str, notes: tuple[str, ...]
) -> Weighted:
    """The points and weights that are built of masses, with the file named in errors."""
    try:
        points, weights = build()
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: {error}") from None
    points = np.asarray(points, dtype=np.float64).reshape(len(weights), -1)
    note = f"{name}: {len(points):,} of {masses.size:,} {what} have mass"
    samples = Samples(name, points, None, str(masses.dtype), (*notes, note))
    return samples, np.asarray(weights, dtype=np.float64)
