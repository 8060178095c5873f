"""A local cluster of two worker processes: the same numbers, also when a worker is killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

import otdist
from otdist.io import dask_samples

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

ROWS = 20_000


@pytest.fixture(scope="module")
def client():
    """Two workers of one thread each; they start in a few seconds."""
    paths = os.pathsep.join(path for path in sys.path if path)
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            env={"OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(ROWS, 3)), rng.normal(0.3, 1.5, size=(ROWS, 3))
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    return x, y, [dask_samples(folder / name, rows=ROWS // 8) for name in ("x.npy", "y.npy")]


def test_workers_give_the_numbers_of_one_process(client, files):
    x, y, (lazy_x, lazy_y) = files
    line = otdist.wasserstein(lazy_x[:, 0], lazy_y[:, 0])
    assert line.distance == pytest.approx(otdist.wasserstein(x[:, 0], y[:, 0]).distance, rel=1e-12)
    sliced = otdist.sliced_wasserstein(lazy_x, lazy_y, n_projections=8)
    whole = otdist.sliced_wasserstein(x, y, n_projections=8)
    assert abs(sliced.distance - whole.distance) <= sliced.error
    gaussian = otdist.gaussian_wasserstein(lazy_x, lazy_y)
    assert gaussian == pytest.approx(otdist.gaussian_wasserstein(x, y), rel=1e-10)
    few = (lazy_x[: ROWS // 4], lazy_y[: ROWS // 4])
    energy = otdist.energy_distance(*few)
    assert energy == pytest.approx(otdist.energy_distance(x[: ROWS // 4], y[: ROWS // 4]))


def test_a_killed_worker_loses_nothing(client, files, tmp_path):
    x, y, (lazy_x, lazy_y) = files

    def slowly(block, log):
        """Leave a mark and take a while, so that there is a middle to be killed in."""
        with open(log, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.1)
        return block

    log = tmp_path / "log"
    log.touch()
    slow_x = lazy_x.map_blocks(slowly, str(log), dtype=float, meta=np.empty((0, 3)))
    killed = []

    def kill() -> None:
        while len(log.read_text().split()) < 4:
            time.sleep(0.01)
        killed.append(int(log.read_text().split()[0]))
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    result = otdist.sliced_wasserstein(slow_x, lazy_y, n_projections=4)
    thread.join()
    marks = log.read_text().split()
    assert killed
    assert len(marks) > 8, "blocks that the killed worker had done were done again"
    whole = otdist.sliced_wasserstein(x, y, n_projections=4)
    assert abs(result.distance - whole.distance) <= result.error
