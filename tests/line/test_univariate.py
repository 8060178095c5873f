"""The line: cost, plan and potentials against linear programming, and their derivatives."""

from __future__ import annotations

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from torch import Tensor

from otdist.line import univariate
from otdist.line.matching import match

ROUNDING = 1e-12  # relative to the largest cost, for problems of a dozen points


def dense(arcs, n: int, m: int) -> np.ndarray:
    matrix = np.zeros((n, m))
    np.add.at(matrix, (arcs.rows.numpy(), arcs.cols.numpy()), arcs.mass.numpy())
    return matrix


@st.composite
def problems(draw):
    """Samples with ties and weights with zeros and equal partial sums, or uniform ones."""
    value = st.one_of(st.integers(-3, 3).map(float), st.floats(-5, 5, width=32))

    def sample():
        points = draw(st.lists(value, min_size=1, max_size=9))
        if draw(st.booleans()):
            return np.array(points), None
        choice = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.7, 1e-18])
        weights = np.array([draw(choice) for _ in points])
        weights[draw(st.integers(0, len(points) - 1))] += 0.5
        return np.array(points), weights / weights.sum()

    (x, a), (y, b) = sample(), sample()
    return x, a, y, b, draw(st.sampled_from([1.0, 1.3, 2.0, 3.0, 8.0]))


def tensors(*arrays):
    return [None if v is None else torch.from_numpy(v) for v in arrays]


@settings(max_examples=150, deadline=None)
@given(problems())
def test_cost_plan_and_potentials_agree_with_linear_programming(problem):
    x, a, y, b, p = problem
    tx, ta, ty, tb = tensors(x, a, y, b)
    wa = np.full(len(x), 1 / len(x)) if a is None else a
    wb = np.full(len(y), 1 / len(y)) if b is None else b
    pairs = np.abs(x[:, None] - y) ** p
    tol = ROUNDING * (1 + pairs.max())
    cost = float(univariate.cost(tx, ty, p, ta, tb))
    assert cost == pytest.approx(ot.emd2(wa, wb, pairs), abs=tol)
    arcs = univariate.plan(tx, ty, ta, tb)
    assert len(arcs.mass) <= len(x) + len(y) - 1
    assert bool((arcs.mass > 0).all())
    plan = dense(arcs, len(x), len(y))
    np.testing.assert_allclose(plan.sum(1), wa, atol=1e-14)
    np.testing.assert_allclose(plan.sum(0), wb, atol=1e-14)
    assert (plan * pairs).sum() == pytest.approx(cost, abs=tol)
    f, g = (v.numpy() for v in univariate.potentials(tx, ty, p, ta, tb))
    assert (f[:, None] + g - pairs).max() <= tol
    assert wa @ f + wb @ g == pytest.approx(cost, abs=tol)


@pytest.mark.parametrize("n,m", [(1000, 1000), (1000, 701), (1, 500)])
@pytest.mark.parametrize("weighted", [False, True])
def test_large_samples_agree_with_scipy(n, m, weighted):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=n), rng.normal(size=m) * 1.5
    a, b = (rng.dirichlet(np.ones(k)) if weighted else None for k in (n, m))
    got = float(univariate.cost(*tensors(x, y), 1.0, *tensors(a, b)))
    assert got == pytest.approx(wasserstein_distance(x, y, a, b), rel=1e-12)


@pytest.mark.parametrize("p", [1.0, 2.0, 20.0])
def test_potentials_of_large_samples_are_feasible_for_all_pairs(p):
    rng = np.random.default_rng(1)
    x, y = rng.random(800), rng.random(611) * 0.9
    a = rng.dirichlet(np.ones(800))
    a[rng.integers(0, 800, 200)] = 0
    a /= a.sum()
    tx, ty, ta = tensors(x, y, a)
    f, g = (v.numpy() for v in univariate.potentials(tx, ty, p, ta))
    assert (f[:, None] + g - np.abs(x[:, None] - y) ** p).max() <= 1e-13
    value = a @ f + g.mean()
    assert value == pytest.approx(float(univariate.cost(tx, ty, p, ta)), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("n,m", [(60, 60), (60, 41), (7, 60), (1, 9), (40_000, 30_001)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_exact_walk_equals_that_in_rounded_breakpoints(n, m, weighted):
    rng = np.random.default_rng(n + m)
    x, y = rng.normal(size=n).round(1), rng.normal(size=m).round(1)
    a, b = (None, None)
    if weighted:
        a, b = (rng.choice([0, 0.1, 0.2, 0.3], size=k) + 1e-3 for k in (n, m))
        a, b = a / a.sum(), b / b.sum()
    tx, ty, ta, tb = tensors(x, y, a, b)
    value = match(tx, ty, ta, tb).cost(2.5)
    in_torch = univariate.cost(tx.clone().requires_grad_(), ty, 2.5, ta, tb).detach()
    assert value == pytest.approx(float(in_torch), rel=1e-12, abs=1e-15)
    assert float(univariate.cost(tx, ty, 2.5, ta, tb)) == pytest.approx(value, rel=1e-12, abs=1e-15)


def test_equal_measures_in_another_order_are_at_distance_zero():
    rng = np.random.default_rng(2)
    x = rng.integers(0, 5, 3000).astype(float)
    a = rng.dirichlet(np.ones(3000))
    order = rng.permutation(3000)
    tx, ta = tensors(x, a)
    assert float(univariate.cost(tx, tx[order], 2.0, ta, ta[order])) == 0.0


def test_partial_sums_that_differ_by_rounding_make_no_arc():
    x, y = tensors(np.array([0.0, 1.0]), np.array([0.0, 0.0, 1.0]))
    a, b = tensors(np.array([0.3, 0.7]), np.array([0.1, 0.2, 0.7]))
    assert b[0] + b[1] != a[0]
    assert float(univariate.cost(x, y, 2.0, a, b)) == 0.0
    assert len(univariate.plan(x, y, a, b).mass) == 3


@pytest.mark.parametrize("graph", [False, True])
def test_many_small_weights_are_not_taken_for_rounding(graph):
    """Each is within the rounding of its neighbours, all of them are not."""
    many = 3000
    weights = np.full(many + 1, 1e-15)
    weights[-1] = 1 - many * 1e-15
    x, y, a = tensors(
        np.append(np.zeros(many), 5.0), np.append(np.ones(many), 5.0), weights / weights.sum()
    )
    value = univariate.cost(x.requires_grad_(graph), y, 2.0, a, a)
    assert float(value.detach()) == pytest.approx(many * 1e-15, rel=1e-3)


def test_zero_weights_change_nothing():
    rng = np.random.default_rng(3)
    x, y, a = rng.normal(size=6), rng.normal(size=4), rng.dirichlet(np.ones(6))
    more, zeros = np.concatenate([x, [50.0, -50.0]]), np.concatenate([a, [0.0, 0.0]])
    with_zeros = univariate.cost(*tensors(more, y), 3.0, *tensors(zeros))
    assert float(with_zeros) == pytest.approx(
        float(univariate.cost(*tensors(x, y), 3.0, *tensors(a))), rel=1e-14
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weights", ["none", "shared", "batched"])
def test_leading_dimensions_are_independent_problems(dtype, weights):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 7, generator=rng, dtype=dtype)
    y = torch.randn(2, 3, 5, generator=rng, dtype=dtype)
    a = b = None
    if weights != "none":
        a = torch.rand(7, generator=rng, dtype=torch.float64)
        b = torch.rand(5 if weights == "shared" else (2, 3, 5), generator=rng, dtype=torch.float64)
    values = univariate.cost(x, y, 2.0, a, b)
    assert values.shape == (2, 3)
    assert values.dtype == dtype
    for i, j in np.ndindex(2, 3):
        one_b = b if b is None or b.ndim == 1 else b[i, j]
        one = univariate.cost(x[i, j], y[i, j], 2.0, a, one_b)
        torch.testing.assert_close(values[i, j], one)


def leaves(n: int, m: int) -> list[Tensor]:
    rng = torch.Generator().manual_seed(n + m)
    shapes = ((2, n), (2, m), (n,), (2, m))
    points = [torch.randn(s, generator=rng, dtype=torch.float64) for s in shapes[:2]]
    logits = [torch.randn(s, generator=rng, dtype=torch.float64) for s in shapes[2:]]
    return [t.requires_grad_() for t in points + logits]


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
def test_gradcheck_in_points_and_weights(p):
    def cost(x, y, s, t):
        return univariate.cost(x, y, p, s.softmax(-1), t.softmax(-1))

    assert torch.autograd.gradcheck(cost, leaves(6, 4))


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("m", [6, 4])
def test_gradcheck_with_uniform_weights(p, m):
    x, y, *_ = leaves(6, m)
    assert torch.autograd.gradcheck(lambda x, y: univariate.cost(x, y, p), (x, y))


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("n,m,weighted", [(6, 6, False), (6, 4, False), (6, 4, True)])
def test_written_derivatives_equal_autograd(p, n, m, weighted):
    x, y, s, t = leaves(n, m)
    a, b = (s.softmax(-1), t.softmax(-1)) if weighted else (None, None)
    wanted = (True, True, weighted, weighted)
    with torch.no_grad():
        found = univariate.derivatives(x, y, p, a, b, wanted=wanted)
    cost = univariate.cost(x, y, p, a, b)
    torch.testing.assert_close(found.cost, cost)
    cost.sum().backward()
    torch.testing.assert_close(found.x, x.grad)
    torch.testing.assert_close(found.y, y.grad)
    if weighted:
        assert a is not None
        assert found.a is not None
        # Through the softmax: its Jacobian removes the constant that a potential is free in.
        again = s.softmax(-1).expand_as(found.a)
        (through,) = torch.autograd.grad((again * found.a).sum(), s)
        torch.testing.assert_close(through, s.grad)


@pytest.mark.parametrize("p", [1.0, 1.2, 2.0])
def test_gradient_is_zero_where_samples_coincide(p):
    x = torch.tensor([0.0, 1.0, 1.0, 2.0]).double().requires_grad_()
    univariate.cost(x, x.detach().flip(0), p).backward()
    assert x.grad is not None
    assert bool((x.grad == 0).all())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("m", [500, 311])
@pytest.mark.parametrize("weighted", [False, True])
def test_cuda_agrees_with_cpu(m, weighted):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(3, 500, generator=rng, dtype=torch.float64)
    y = torch.randn(3, m, generator=rng, dtype=torch.float64)
    a = torch.rand(500, generator=rng, dtype=torch.float64) if weighted else None
    there = univariate.cost(x.cuda(), y.cuda(), 2.0, None if a is None else a.cuda())
    torch.testing.assert_close(there.cpu(), univariate.cost(x, y, 2.0, a), rtol=1e-12, atol=0)
