"""Samples from files: .npy, .npz:key, .csv, .tsv, .parquet, .pt; what they hold is never run."""

from otdist.io.samples import DataError, Samples, align, read_samples, read_weights

__all__ = ["DataError", "Samples", "align", "read_samples", "read_weights"]
