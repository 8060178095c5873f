"""Forbidden pairs: against a linear programme of SciPy, with proofs and gradients."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import torch

import otdist
from otdist import transport

RNG = np.random.default_rng(0)


def problem(n, m, share=0.4):
    cost = RNG.random((n, m))
    cost[RNG.random((n, m)) < share] = math.inf
    plan = np.where(np.isfinite(cost), RNG.random((n, m)), 0.0)
    plan[np.arange(max(n, m)) % n, np.arange(max(n, m)) % m] += 0.1
    cost[(plan > 0) & ~np.isfinite(cost)] = 2.0
    plan /= plan.sum()
    return cost, plan.sum(1), plan.sum(0)


def programme(cost, a, b):
    rows, cols = np.nonzero(np.isfinite(cost))
    k = np.arange(len(rows))
    of_a = scipy.sparse.coo_array((np.ones(len(k)), (rows, k)))
    of_b = scipy.sparse.coo_array((np.ones(len(k)), (cols, k)))
    return scipy.optimize.linprog(
        cost[rows, cols], A_eq=scipy.sparse.vstack([of_a, of_b]), b_eq=np.concatenate([a, b])
    ).fun


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 5), (20, 15), (40, 60)])
def test_it_is_the_linear_programme(n, m):
    cost, a, b = problem(n, m)
    found = transport(cost, a=a, b=b)
    assert found.cost == pytest.approx(programme(cost, a, b), rel=1e-9)
    assert found.lower <= found.cost <= found.upper
    assert found.gap <= 1e-9
    assert found.converged
    f, g = found.potentials
    assert (f[:, None] + g <= cost + 1e-12).all()
    plan = found.plan.toarray()
    assert not plan[~np.isfinite(cost)].any()
    assert plan.sum(1) == pytest.approx(a)
    assert plan.sum(0) == pytest.approx(b)


def test_sparse_matrices_allow_what_they_store():
    cost, a, b = problem(20, 15)
    cost[0, np.isfinite(cost[0])] = 0.0
    rows, cols = np.nonzero(np.isfinite(cost))
    for kind in (scipy.sparse.coo_array, scipy.sparse.csr_matrix):
        stored = kind((cost[rows, cols], (rows, cols)), shape=cost.shape)
        found = transport(stored, a=a, b=b)
        assert found.cost == pytest.approx(transport(cost, a=a, b=b).cost, rel=1e-12)


def test_assignments_on_a_graph():
    cost = np.full((6, 6), math.inf)
    for i in range(6):
        cost[i, i], cost[i, (i + 1) % 6] = 1.0, 0.25 if i < 5 else 9.0
    assert transport(cost).cost == pytest.approx(1.0)


def test_points_without_weight():
    cost, a, b = problem(8, 7)
    wider = np.vstack([cost, np.full(7, math.inf)])
    found = transport(wider, a=np.append(a, 0.0), b=b)
    assert found.cost == pytest.approx(transport(cost, a=a, b=b).cost, rel=1e-9)
    assert found.plan.shape == (9, 7)
    assert np.isfinite(found.potentials[0]).all()


def test_gradients_are_plan_and_potentials():
    cost, a, b = problem(5, 4)
    allowed = np.isfinite(cost)
    at = torch.from_numpy(allowed)
    a, b = torch.from_numpy(a), torch.from_numpy(b)

    def value(entries, logits):
        matrix = torch.full(at.shape, math.inf, dtype=torch.float64).masked_scatter(at, entries)
        return transport(matrix, a=logits.softmax(0), b=b).cost

    entries = torch.from_numpy(cost[allowed]).requires_grad_()
    assert torch.autograd.gradcheck(lambda e: value(e, a.log()), (entries,))
    found = transport(torch.from_numpy(cost).requires_grad_(), a=a, b=b)
    (slope,) = torch.autograd.grad(value(entries, a.log()), entries)
    assert torch.allclose(slope, found.plan.to_dense()[at])


def test_what_cannot_be_served_is_named():
    cost = np.zeros((4, 4))
    cost[:3, 1:] = math.inf
    with pytest.raises(ValueError, match=r"sources 0, 1, 2 hold mass 0.75.*take 0.25"):
        transport(cost)
    cost = np.ones((3, 2))
    cost[1] = math.inf
    with pytest.raises(ValueError, match=r"sources 1 hold mass 0.333333.*take 0$"):
        transport(cost)


def test_bad_matrices_and_options_are_refused():
    cost = np.array([[math.inf, 1.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match=r"where it is not \+inf: got nan at \(1, 1\)"):
        transport(np.array([[math.inf, 1.0], [1.0, math.nan]]))
    with pytest.raises(ValueError, match="got -1 at"):
        transport(scipy.sparse.coo_array(np.array([[-1.0, 1.0], [1.0, 1.0]])))
    with pytest.raises(ValueError, match="solver must be left out"):
        transport(cost, solver=otdist.Sinkhorn(eps=0.1))
    with pytest.raises(ValueError, match="mass must be left out"):
        transport(cost, mass=0.5)
    with pytest.raises(ValueError, match="solver must be left out"):
        transport(cost, solver=otdist.Exact(max_seconds=1.0))
    assert transport(cost, solver=otdist.Exact()).cost == 1.0


def test_any_accuracy_is_reached():
    cost, a, b = problem(20, 15)
    found = transport(cost, a=a, b=b, rtol=0.5)
    assert found.converged
    assert found.distance == transport(cost, a=a, b=b).distance
    with pytest.raises(ValueError, match="rtol"):
        transport(cost, a=a, b=b, rtol=-1)
