"""Violating pairs: none is missed, however many tie, and what is not listed is bounded."""

import numpy as np
import pytest
import torch

from otdist.core.cost import Cost
from otdist.core.point_cost import PointCost
from otdist.exact.violations import Violations
from otdist.metrics import Angular, Chebyshev, Cityblock


def ordered(n, m, metric=None):
    """Points of which each target is beyond each source: cityblock distances add up and tie."""
    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(rng.random((n, 3))), torch.from_numpy(1 + rng.random((m, 3)))
    if metric is None:
        return PointCost(x, y, 2.0)
    return metric.cost(*metric.enter_both(x, y)[:2], 1.0, 0.0)[0]


def tight(cost: Cost):
    """A feasible pair of potentials that is tight in every row and column."""
    g, _ = cost.T.ctransform(torch.zeros(cost.shape[0], dtype=torch.float64))
    f, _ = cost.ctransform(g)
    return f, g


def excess_of(cost, f, g):
    return f[:, None] + g - cost.dense()


def check(cost, f, g, tolerance, found):
    """The worst pair is listed or all that is not is within its bound."""
    i, j, rest = found
    excess = excess_of(cost, f, g)
    listed = torch.zeros(cost.shape, dtype=torch.bool)
    listed[i, j] = True
    bound = torch.zeros_like(f).add_(rest)[:, None] + 1e-14
    assert bool((listed | (excess <= bound)).all())
    if float(excess.max()) > tolerance:
        assert bool(listed[excess == excess.max()].any())


@pytest.mark.parametrize("metric", [None, Angular(), Cityblock(), Chebyshev()])
@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-3])
def test_what_violates_is_listed_or_bounded(metric, size):
    cost = ordered(90, 80, metric)
    f, g = tight(cost)
    f[[3, 40]] += size
    tolerance = 1e-12
    found = Violations(cost).find(f, g, tolerance, np.inf)
    assert found is not None
    check(cost, f, g, tolerance, found)


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-3])
def test_few_violations_are_found_among_thousands_of_ties(size):
    cost = ordered(400, 400, Cityblock())
    f, g = tight(cost)
    f += 1e-13  # as after a simplex: ties violate by rounding
    f[[3, 40]] += size
    violations = Violations(cost)
    assert int((excess_of(cost, f, g) > 0).sum()) > violations.listed / 2
    violations.listed = 1000
    found = violations.find(f, g, 1e-12, np.inf)
    assert violations.hard
    assert found is not None
    i, _, rest = found
    check(cost, f, g, 1e-12, found)
    assert (set(i.tolist()) == {3, 40}) == (size > 0)
    assert float(torch.as_tensor(rest).max()) <= max(2e-12, size, 2 * violations.error(f, g))
    assert len(i) <= 2 * 400


def test_too_many_violations_are_none():
    cost = ordered(300, 300, Cityblock())
    f, g = tight(cost)
    violations = Violations(cost)
    violations.listed = 1000
    assert violations.find(f + 1, g, 1e-12, np.inf) is None


def test_a_lattice_is_settled_in_float64_once_violations_are_small():
    side = torch.arange(20, dtype=torch.float64)
    points = torch.cartesian_prod(side, side) + 2.0**12
    cost = PointCost(points, points + 3, 2.0)
    f, g = tight(cost)
    violations = Violations(cost)
    violations.listed = 2000
    assert violations.find(f, g, 1e-12, np.inf) is None  # nothing says that violations are small
    assert violations.pricer.dtype == torch.float32
    found = violations.find(f, g, 1e-12, 0.0)
    assert violations.pricer.dtype == torch.float64
    assert found is not None
    check(cost, f, g, 1e-12, found)


@pytest.mark.parametrize("metric", [Angular(), Cityblock(), Chebyshev()])
def test_ties_within_rounding_are_no_violations(metric):
    """Where ties were too many before: signs of angles list every pair tight by rounding."""
    cost = ordered(200, 200, metric)
    f, g = tight(cost)
    violations = Violations(cost)
    violations.hard = True
    found = violations.find(f + 1e-13, g, 1e-12, np.inf)
    assert found is not None
    check(cost, f + 1e-13, g, 1e-12, found)
    assert float(torch.as_tensor(found[2]).max()) <= 1e-12
