"""Accumulators of two ranks with uneven data, one of them without any y, reduce to the whole."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.distributed as dist

from otdist.streaming import KID, Frechet, Line, Slices

PARTS = ((slice(700), slice(0, 1000)), (slice(700, 1000), slice(0, 0)))
"""Rows of x and of y on ranks 0 and 1."""


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(1000, 3)), rng.normal(0.5, 2, size=(1000, 3))


def accumulators():
    return [
        Line(2, cells=64),
        Slices(n_projections=10, cells=64),
        Frechet(),
        KID(block=1000),
    ]


def filled(x, y):
    first, *others = accumulators()
    return [first.update(x[:, 0], y[:, 0]), *(part.update(x, y) for part in others)]


def numbers(parts):
    return [float(part.compute()) for part in parts]


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    x, y = data()
    rows, others = PARTS[rank]
    local = filled(x[rows], y[others])
    first = numbers(part.reduce() for part in local)
    again = numbers(part.reduce(dist.group.WORLD) for part in local)
    torch.save((first, again, [part.x.count for part in local]), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_uneven_ranks_reduce_to_the_whole(tmp_path):
    command = [sys.executable, __file__, str(tmp_path)]
    ranks = [subprocess.Popen([*command, str(rank)]) for rank in range(2)]
    assert [process.wait(timeout=120) for process in ranks] == [0, 0]
    wanted = numbers(filled(*data()))
    for rank, (rows, _) in enumerate(PARTS):
        first, again, counts = torch.load(tmp_path / f"{rank}.pt")
        assert first == pytest.approx(wanted, rel=1e-12)
        assert again == first
        assert counts == [rows.stop - (rows.start or 0)] * 4


def test_without_a_process_group():
    with pytest.raises(RuntimeError, match="init_process_group first"):
        Line().reduce()


if __name__ == "__main__":  # one rank, in a process of its own
    worker(int(sys.argv[2]), sys.argv[1])
