"""Pairs on a real cluster of two processes, one of which is killed at work."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import otdist
from otdist.all_pairs import engines

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def samples(k):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(20 + i, 2)) for i in range(k)]


@pytest.mark.parametrize("distance", [otdist.wasserstein, otdist.sliced_wasserstein])
def test_a_cluster_equals_this_machine(client, distance):
    parts = [*samples(5), np.full((3, 2), np.nan)]
    with pytest.warns(UserWarning, match="5 pairs failed"):
        here = otdist.pairwise(parts, distance=distance)
    with pytest.warns(UserWarning, match="5 pairs failed"):
        there = otdist.pairwise(parts, distance=distance, client=client)
    np.testing.assert_allclose(there.matrix, here.matrix, rtol=1e-12)
    np.testing.assert_allclose(there.lower, here.lower, rtol=1e-12)
    assert there.failures == here.failures


def test_a_killed_worker_loses_nothing(client, tmp_path):
    parts = samples(16)

    def slow(x, y):
        import time

        time.sleep(0.03)
        return abs(float(x.mean() - y.mean()))

    pids = client.run(os.getpid)
    killed = []

    def kill():
        while not list(tmp_path.glob("*")):
            time.sleep(0.01)
        os.kill(next(iter(pids.values())), signal.SIGKILL)
        killed.append(True)

    slow.__qualname__, slow.__module__ = "slow", "anywhere"  # a name that the folder accepts
    assassin = threading.Thread(target=kill, daemon=True)
    assassin.start()
    found = otdist.pairwise(parts, distance=slow, client=client, cache=tmp_path)
    assassin.join()
    assert killed
    assert found.failures == {}
    means = np.array([float(x.mean()) for x in parts])
    np.testing.assert_allclose(found.matrix, np.abs(means[:, None] - means), rtol=1e-12)
    again = otdist.pairwise(parts, distance=slow, cache=tmp_path)
    assert again.reused == 120


@pytest.mark.parametrize("losses", [2, 10**9])
def test_chunks_whose_inputs_were_lost_are_sent_again(client, monkeypatch, losses):
    original, seen = engines._OnDask.submit, []

    def lost():
        raise RuntimeError("inputs were lost")

    def submit(self, chunk, fresh=False):
        seen.append(fresh)
        if len(seen) <= losses:
            return self.client.submit(lost, pure=False)
        return original(self, chunk, fresh)

    monkeypatch.setattr(engines._OnDask, "submit", submit)
    parts = samples(2)
    if losses > 2:
        with pytest.warns(UserWarning, match="inputs were lost"):
            found = otdist.pairwise(parts, client=client)
        assert seen == [False, True, True, True]
        assert "inputs were lost" in found.failures[0, 1]
    else:
        assert otdist.pairwise(parts, client=client)[0, 1] > 0
        assert seen == [False, True, True]
