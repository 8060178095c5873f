"""Plans by cells: the accuracy is proved without the pairs of all points being solved."""

import time
from dataclasses import replace

import numpy as np
import pytest

import otdist
from otdist.core.result import ConvergenceWarning
from otdist.exact import coarse, exact, improve
from otdist.exact.limits import Limits, Sizes

RTOL = 0.02
MARGINALS = 1e-10  # random weights: rounding of the simplex of the cells, beside masses of 1e-3


SMALL = Sizes(coarse_from=1000, first_level=6)
"""Coarse plans of samples that an exact answer takes a second for."""
WIDE = replace(SMALL, share=50.0, cell_points=2000)  # cells that blocks must make up for


def by_cells(x, y, *, sizes=SMALL, max_seconds=None, **options):
    return otdist.wasserstein(x, y, solver=otdist.Exact(max_seconds, _sizes=sizes), **options)


def clouds(kind, d, rng):
    n, m = 1250, 1200
    if kind == "lattice":
        return rng.integers(0, 60, (n, d)).astype(float), rng.integers(20, 90, (m, d)).astype(float)
    if kind == "heavy":
        return rng.standard_t(3, size=(n, d)), 1.5 * rng.standard_t(3, size=(m, d)) + 4
    label = 30.0 * rng.integers(0, 4, (n, 1))
    return label + rng.normal(size=(n, d)), label[:m] + rng.normal(size=(m, d)) + 8


@pytest.mark.parametrize(("d", "p"), [(2, 1), (2, 2), (3, 2), (2, 3)])
@pytest.mark.parametrize("kind", ["lattice", "heavy", "clusters"])
def test_the_bracket_contains_the_truth(kind, d, p):
    rng = np.random.default_rng(0)
    x, y = clouds(kind, d, rng)
    b = rng.random(len(y)) + 0.5
    b /= b.sum()
    rough, exact = (by_cells(x, y, b=b, p=p, rtol=rtol) for rtol in (RTOL, 0))
    assert rough.converged
    assert rough.upper - rough.lower <= RTOL * rough.lower
    assert rough.lower <= exact.upper
    assert rough.upper >= exact.lower
    assert np.abs(np.asarray(rough.plan.sum(1)).ravel() - 1 / len(x)).max() < MARGINALS
    assert np.abs(np.asarray(rough.plan.sum(0)).ravel() - b).max() < MARGINALS


def normal():
    rng = np.random.default_rng(1)
    return rng.normal(size=(1250, 2)), rng.normal(size=(1250, 2)) + 2


@pytest.mark.parametrize("improved", [False, True])
def test_cells_are_enough_in_the_plane(improved, monkeypatch):
    x, y = normal()
    truth = otdist.wasserstein(x, y, p=2).distance

    def unwanted(*args):
        raise AssertionError("the points themselves are not solved")

    monkeypatch.setattr(otdist.exact.exact, "check_memory", unwanted)
    sweeps = []
    sweep = improve.sweep
    monkeypatch.setattr(improve, "sweep", lambda *args: sweeps.append(1) or sweep(*args))
    sizes = replace(WIDE, first_level=5) if improved else SMALL
    result = by_cells(x, y, p=2, rtol=RTOL, sizes=sizes)
    assert result.lower <= truth <= result.upper
    assert "cells" in result.message
    assert bool(sweeps) == improved


def test_an_interrupt_of_the_other_transform_keeps_the_first(monkeypatch):
    x = 2 * np.random.default_rng(0).normal(size=(1250, 3))
    bounds, bound = [], exact.lower_from_potentials

    def pressed(*args, **options):
        if bounds:
            raise KeyboardInterrupt
        bounds.append(bound(*args, **options))
        return bounds[0]

    monkeypatch.setattr(exact, "lower_from_potentials", pressed)
    sizes = replace(WIDE, first_level=8)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        result = by_cells(x, 1.3 * x[::-1], p=2, rtol=RTOL, sizes=sizes)
    truth = np.sqrt(np.square(0.3 * x).sum(1).mean())  # and the means are the same
    assert 0.9 * truth < result.lower <= truth <= result.upper


@pytest.mark.parametrize("d", [2, 3])
def test_cells_are_enough_at_p_1(d):
    rng = np.random.default_rng(d)
    x, y = rng.normal(size=(1250, d)), rng.normal(size=(1250, d)) + 2
    result = by_cells(x, y, p=1, rtol=RTOL, sizes=replace(SMALL, first_level=8))
    assert "cells" in result.message
    truth = otdist.wasserstein(x, y, p=1)
    assert result.lower <= truth.upper
    assert truth.lower <= result.upper <= (1 + RTOL) * result.lower


def test_cells_hold_few_points():
    x, y = normal()
    result = by_cells(x, y, p=2, rtol=RTOL, sizes=replace(WIDE, first_level=3, cell_points=20))
    assert "by 64 cells" in result.message


def test_the_other_transform_proves_what_the_first_does_not(monkeypatch):
    rng = np.random.default_rng(0)
    x = 2 * rng.normal(size=(1250, 3))
    proofs, proof = [], exact._bound
    monkeypatch.setattr(
        exact, "_bound", lambda *a, **k: proofs.append(proof(*a, **k)) or proofs[-1]
    )
    sizes = replace(WIDE, first_level=8)
    result = by_cells(x, x[::-1] + 0.7, p=2, rtol=RTOL, sizes=sizes)
    (first, _), (second, _) = proofs
    assert second.cost > first.cost
    assert "cells" in result.message
    assert result.lower <= 0.7 * 3**0.5 <= result.upper <= (1 + RTOL) * result.lower


def test_rows_in_another_order_give_the_same_within_the_accuracy():
    rng = np.random.default_rng(2)
    x, y = clouds("heavy", 2, rng)
    first = by_cells(x, y, p=2, rtol=RTOL)
    again = by_cells(x, y, p=2, rtol=RTOL)
    other = by_cells(rng.permutation(x), rng.permutation(y), p=2, rtol=RTOL)
    assert first.distance == again.distance
    assert other.distance == pytest.approx(first.distance, rel=RTOL)


def test_an_interrupt_returns_the_bracket_so_far(monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(improve, "sweep", interrupt)
    x, y = normal()
    truth = otdist.wasserstein(x, y, p=2).distance
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        result = by_cells(x, y, p=2, rtol=1e-3, sizes=WIDE)
    assert not result.converged
    assert result.lower <= truth <= result.upper


def test_max_seconds_returns_the_bracket_so_far():
    x, y = normal()
    truth = otdist.wasserstein(x, y, p=2).distance
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        result = by_cells(x, y, p=2, rtol=1e-3, sizes=WIDE, max_seconds=1e-6)
    assert not result.converged
    assert result.lower <= truth <= result.upper


def test_many_dimensions_are_declined():
    x = np.random.default_rng(3).normal(size=(1200, 10))
    problem = otdist.core.task.of_pair(otdist.core.measure.pair(x, x + 1), 2)
    limits = Limits(rtol=0.01, deadline=time.perf_counter() + 60, sizes=SMALL)
    assert coarse.solve(problem.cost, problem.a, problem.b, limits) is None
