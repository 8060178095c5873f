"""Samples from files: .npy, .npz:key, .csv, .tsv, .parquet, .pt, folders of images.

What the files hold is never run, resized or converted in silence.
"""

from otdist.io.blocks import blocks, dask_samples
from otdist.io.measures import read_grid, read_histogram
from otdist.io.reading import Reading
from otdist.io.samples import DataError, Samples, align, read_samples, read_weights
from otdist.io.tables import Table, read_columns

__all__ = [
    "DataError",
    "Reading",
    "Samples",
    "Table",
    "align",
    "blocks",
    "dask_samples",
    "read_columns",
    "read_grid",
    "read_histogram",
    "read_samples",
    "read_weights",
]
