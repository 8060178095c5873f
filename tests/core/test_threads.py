"""Threads: one knob for large problems, one thread for small ones, PyTorch's count as before."""

import os
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
import torch

import otdist
from otdist import losses
from otdist.core import threads
from otdist.exact.limits import Sizes

X, Y = np.random.default_rng(0).normal(size=(2, 40, 3))
ALWAYS = otdist.Exact(_sizes=Sizes(matrix_pairs=0))


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    otdist.set_threads(None)
    torch.set_num_threads(before)


def seen(numbers):
    with threads.threads_for(numbers):
        return torch.get_num_threads(), threads.thread_count()


def test_small_problems_take_one_thread_and_large_ones_those_of_torch():
    assert seen(threads.SMALL) == (1, 1)
    assert seen(threads.SMALL + 1) == (2, 2)


def test_many_small_problems_share_the_threads_that_torch_does_not_take():
    with threads.threads_for_many():
        assert (torch.get_num_threads(), threads.thread_count()) == (1, 2)
        assert seen(10) == (1, 1)
        assert seen(10**7) == (2, 2)
    assert (torch.get_num_threads(), threads.thread_count()) == (2, 2)


def test_the_knob_is_for_large_problems_only():
    otdist.set_threads(3)
    assert seen(10) == (1, 1)
    assert seen(10**7) == (3, 3)
    otdist.set_threads(None)
    assert seen(10**7) == (2, 2)
    assert torch.get_num_threads() == 2


def test_the_environment_is_the_same_knob(monkeypatch):
    monkeypatch.setenv("OTDIST_THREADS", "3")
    assert seen(10**7) == (3, 3)
    otdist.set_threads(1)
    assert seen(10**7) == (1, 1)


@pytest.mark.parametrize("told", ["0", "two", "", "-1"])
def test_a_bad_environment_is_named(monkeypatch, told):
    monkeypatch.setenv("OTDIST_THREADS", told)
    with pytest.raises(ValueError, match=f"OTDIST_THREADS must be a whole number.*{told!r}"):
        seen(10**7)


@pytest.mark.parametrize("bad", [0, -1, 2.5, "2", True])
def test_a_bad_number_is_named(bad):
    with pytest.raises((TypeError, ValueError), match="n must be"):
        otdist.set_threads(bad)


def test_blocks_are_shared_out_among_as_many_threads_as_are_wanted():
    otdist.set_threads(3)
    names, meeting = set(), threading.Barrier(3)

    def work():
        meeting.wait(timeout=60)
        names.add(threading.current_thread().name)
        assert torch.get_num_threads() == 1
        assert threads.thread_count() == 1

    threads.run([work] * 3)
    assert len(names) == 3
    assert torch.get_num_threads() == 2


def test_after_an_error_no_further_task_begins():
    otdist.set_threads(2)
    meeting, begun, lock = threading.Barrier(2), [], threading.Lock()

    def task(k):
        with lock:
            begun.append(k)
        if k < 2:
            meeting.wait(timeout=60)
        if k == 1:
            raise ValueError("of the second task")
        time.sleep(0.01)

    with pytest.raises(ValueError, match="of the second task"):
        threads.run([partial(task, k) for k in range(1000)])
    threads.run([partial(task, 5)] * 2)  # the pool serves on
    assert len(begun) < 100


CALLS = {
    "wasserstein": lambda: otdist.wasserstein(X, Y),
    "line": lambda: otdist.wasserstein(X[:, 0], Y[:, 0]),
    "Sinkhorn": lambda: otdist.wasserstein(X, Y, solver=otdist.Sinkhorn(eps=1.0)),
    "column generation": lambda: otdist.wasserstein(X, Y, solver=ALWAYS),
    "sliced": lambda: otdist.sliced_wasserstein(X, Y),
    "max sliced": lambda: otdist.max_sliced_wasserstein(X, Y),
    "divergence": lambda: otdist.sinkhorn_divergence(X, Y),
    "energy": lambda: otdist.energy_distance(X, Y),
    "mmd": lambda: otdist.mmd(X, Y),
    "gaussian": lambda: otdist.gaussian_wasserstein(X, Y),
    "pairwise": lambda: otdist.pairwise([X, Y, X + 1]),
    "test": lambda: otdist.two_sample_test(X, Y, n_permutations=20),
    "exact loss": lambda: backward(losses.ExactLoss()),
    "sliced loss": lambda: backward(losses.SlicedWassersteinLoss()),
    "Sinkhorn loss": lambda: backward(losses.SinkhornLoss()),
    "bad samples": lambda: otdist.wasserstein(X, np.full((3, 3), np.nan)),
    "bad option": lambda: otdist.mmd(X, Y, bandwidth=-1),
}


def backward(loss):
    x = torch.tensor(X, requires_grad=True)
    loss(x, torch.tensor(Y)).backward()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wanted", [None, 1, 3])
def test_the_threads_of_torch_are_as_before_after_every_call(call, wanted):
    otdist.set_threads(wanted)
    try:
        CALLS[call]()
    except ValueError:
        assert call.startswith("bad")
    assert torch.get_num_threads() == 2
    assert threads.thread_count() == (wanted or 2)


def test_threads_born_after_a_call_have_the_count_of_before():
    code = (
        "import threading, torch, numpy as np, otdist\n"
        "torch.set_num_threads(2)\n"
        "otdist.set_threads(3)\n"
        "otdist.sliced_wasserstein(*np.random.default_rng(0).normal(size=(2, 4000, 3)))\n"
        "found = []\n"
        "other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))\n"
        "other.start(); other.join()\n"
        "assert found == [2], found\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.endswith("NUM_THREADS")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
