"""Files in blocks: the points of `read_samples`, a few rows at a time."""

from __future__ import annotations

import numpy as np
import pytest

import otdist
from otdist.io import DataError, blocks, dask_samples, read_samples

POINTS = np.arange(60.0).reshape(20, 3)


def parquet(path, points=POINTS, **options):
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({f"c{k}": points[:, k] for k in range(points.shape[1])})
    pytest.importorskip("pyarrow.parquet").write_table(table, path, **options)


def test_blocks_of_all_kinds_hold_the_points(tmp_path):
    np.save(tmp_path / "c.npy", POINTS)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(POINTS))
    np.save(tmp_path / "swapped.npy", POINTS.astype(">f8"))
    np.save(tmp_path / "whole.npy", POINTS.astype(np.int16))
    np.savetxt(tmp_path / "text.csv", POINTS, delimiter=",")
    parquet(tmp_path / "table.parquet", row_group_size=3)
    for path in tmp_path.iterdir():
        parts = list(blocks(path, rows=7))
        assert np.array_equal(np.concatenate(parts), read_samples(path).points), path
        assert len(parts) == (1 if path.suffix == ".csv" else 3), path
        lazy = dask_samples([path, path], rows=7)
        assert lazy.shape == (40, 3)
        assert np.array_equal(lazy.compute(scheduler="synchronous")[20:], POINTS), path


def test_images_are_flattened_and_the_line_stays_a_line(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((10, 2, 3), np.float32))
    np.save(tmp_path / "line.npy", np.arange(10))
    assert [part.shape for part in blocks(tmp_path / "images.npy", rows=6)] == [(6, 6), (4, 6)]
    assert next(blocks(tmp_path / "images.npy")).dtype == np.float32
    lazy = dask_samples(tmp_path / "line.npy", rows=4)
    with pytest.importorskip("dask").config.set(scheduler="synchronous"):
        assert otdist.wasserstein(lazy, lazy + 2).distance == 2


def test_errors_name_the_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.npy: no such file"):
        next(blocks(tmp_path / "none.npy"))
    np.save(tmp_path / "words.npy", np.array(["a"]))
    with pytest.raises(DataError, match=r"words\.npy: samples must be an array of numbers"):
        dask_samples(tmp_path / "words.npy")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"broken\.parquet: is damaged"):
        dask_samples(tmp_path / "broken.parquet")
    parquet(tmp_path / "text.parquet", np.array([["a"]]))
    with pytest.raises(DataError, match=r"column 'c0' is not numeric"):
        dask_samples(tmp_path / "text.parquet")
    np.save(tmp_path / "x.npy", POINTS)
    np.save(tmp_path / "y.npy", POINTS[:, :2])
    with pytest.raises(DataError, match=r"same columns and dtype: .*3 columns.*2 columns"):
        dask_samples([tmp_path / "x.npy", tmp_path / "y.npy"])
    with pytest.raises(DataError, match="at least one file"):
        dask_samples([])
    with pytest.raises(ValueError, match="rows must be at least 1"):
        next(blocks(tmp_path / "x.npy", rows=0))
    with pytest.raises(ValueError, match=r"rows must be an integer, at least 1: got 2\.5"):
        next(blocks(tmp_path / "x.npy", rows=2.5))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="rows must be an integer, at least 1: got True"):
        next(blocks(tmp_path / "x.npy", rows=True))
