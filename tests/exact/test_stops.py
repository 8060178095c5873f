"""A stop at any stage returns a bracket that contains the truth, and says how to go on."""

import math
import time

import numpy as np
import pytest
import torch

import otdist
from otdist.core import certificate, measure, task, threads
from otdist.core.result import ConvergenceWarning
from otdist.exact import boxed, coarse, column_generation, exact
from otdist.exact.limits import Sizes
from otdist.exact.pricing import Pricer

ALWAYS = otdist.Exact(_sizes=Sizes(matrix_pairs=0))  # no matrix, as for large samples
CELLS = otdist.Exact(_sizes=Sizes(coarse_from=1000, first_level=6))
STAGES = [
    (column_generation, "usual_start", 1),
    (Pricer, "nearest", 1),
    (Pricer, "nearest", 2),
    (boxed, "solve", 1),
    (column_generation._Run, "_repaired", 1),
    (Pricer, "below", 1),
    (boxed, "solve", 2),
    (exact, "lower_from_potentials", 1),
]


def shifted(d=3, n=400):
    """A sample and itself moved by a vector, whose length is the distance."""
    rng = np.random.default_rng(0)
    x, by = rng.normal(size=(n, d)), np.arange(1.0, d + 1)
    return x, rng.permutation(x + by), float(np.linalg.norm(by))


def stretched(d, n):
    """A sample and its image under the gradient of a convex function, which is optimal at p = 2."""
    rng = np.random.default_rng(0)
    x, axes = rng.normal(size=(n, d)), np.linalg.qr(rng.normal(size=(d, d)))[0]
    y = x @ (axes * np.arange(1.0, d + 1)) @ axes.T + 1
    return x, rng.permutation(y), float(np.sqrt(np.square(x - y).sum(1).mean()))


def interrupt_at(monkeypatch, owner, name, call):
    """Raise what Ctrl-C raises in the given call of a function, once."""
    original, calls = getattr(owner, name), []

    def wrapped(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, wrapped)


def check(result, truth):
    assert not result.converged
    assert "start=result" in result.message
    assert result.lower <= truth * (1 + 1e-12)
    assert result.upper >= truth * (1 - 1e-12)
    assert math.isfinite(result.upper)
    n = result.plan.shape[0]
    assert np.abs(np.asarray(result.plan.sum(1)).ravel() - 1 / n).max() < 1e-12


@pytest.mark.parametrize(("owner", "name", "call"), STAGES)
def test_an_interrupt_at_any_stage(owner, name, call, monkeypatch):
    rng = np.random.default_rng(1)
    x, y = rng.random((700, 2)), 2 * rng.random((700, 2))
    truth = otdist.wasserstein(x, y).distance
    interrupt_at(monkeypatch, owner, name, call)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        result = otdist.wasserstein(x, y, solver=ALWAYS)
    check(result, truth)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_an_interrupted_proof_keeps_what_the_means_prove(p, monkeypatch):
    x, y, truth = shifted()
    interrupt_at(monkeypatch, exact, "lower_from_potentials", 1)
    result = otdist.wasserstein(x, y, p=p, solver=ALWAYS)
    assert "interrupted" in result.message
    assert result.upper == pytest.approx(truth, rel=1e-9)
    assert truth * (1 - 1e-9) < result.lower <= truth * (1 + 1e-12)
    f, g = result.potentials
    apart = np.linalg.norm(x[:, None] - y, axis=2) ** p
    assert (f[:, None] + g - apart).max() < 1e-12 * apart.max()


@pytest.mark.parametrize(
    ("owner", "name"),
    [(coarse, "split"), (coarse, "quick_transform"), (coarse, "entropic_start")],
)
def test_an_interrupt_where_cells_are_solved(owner, name, monkeypatch):
    x, y, truth = stretched(2, 1300)
    interrupt_at(monkeypatch, owner, name, 1)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        check(otdist.wasserstein(x, y, p=2, rtol=0.01, solver=CELLS), truth)


@pytest.mark.parametrize("rtol", [0.0, 0.01])
def test_a_deadline_ends_a_pass(rtol, monkeypatch):
    x, y, truth = stretched(3, 1500)
    nearest = Pricer.nearest

    def late(self, *args):
        time.sleep(0.3)
        return nearest(self, *args)

    monkeypatch.setattr(Pricer, "nearest", late)
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        result = otdist.wasserstein(x, y, p=2, rtol=rtol, solver=otdist.Exact(max_seconds=0.2))
    check(result, truth)
    assert result.iterations == 0


def test_work_after_a_deadline_is_refused():
    def fail(part):
        raise AssertionError("the deadline has passed")

    cpu = torch.device("cpu")
    late = threads.until(time.perf_counter() - 1)
    with late, threads.until(math.inf), pytest.raises(threads.TimeUpError):
        threads.each([slice(0, 1), slice(1, 2)], fail, cpu)
    done = []
    threads.each([slice(0, 1)], done.append, cpu)
    assert done == [slice(0, 1)]


@pytest.mark.parametrize("p", [1, 1.5, 2, 4])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_bound_of_the_means_is_that_of_jensen(p, offset):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(30, 4)) + offset, rng.normal(size=(20, 4)) + offset + 1
    b = rng.random(20)
    b /= b.sum()
    problem = task.of_pair(measure.pair(x, y, b=b), p)
    found = certificate.lower_from_means(problem.cost, problem.a, problem.b)
    apart = np.linalg.norm(x.mean(0) - b @ y)
    assert found.cost ** (1 / p) * problem.scale == pytest.approx(apart, rel=1e-9)
    assert found.cost ** (1 / p) * problem.scale <= apart
    costs = problem.cost.dense()
    assert float((found.f[:, None] + found.g - costs).max()) < 1e-13


def test_equal_means_prove_nothing():
    x = np.array([[1.0, 0.0], [-1.0, 0.0]])
    problem = task.of_pair(measure.pair(x, 2 * x), 2)
    found = certificate.lower_from_means(problem.cost, problem.a, problem.b)
    assert found.value == 0
    assert found.cost <= 0
