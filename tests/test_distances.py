"""wasserstein and transport: against SciPy, POT and known answers; metric laws; every edge."""

from __future__ import annotations

import math

import numpy as np
import ot
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import otdist
from otdist import problems

RELATIVE = 1e-9  # agreement with other exact solvers

seeds = st.integers(0, 10_000)
sizes = st.integers(1, 12)
dimensions = st.sampled_from([1, 2, 3, 8])
exponents = st.sampled_from([1.0, 1.3, 2.0, 4.0])


def samples(n: int, m: int, d: int, seed: int, weighted: bool = True):
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(n, d)), draw.normal(size=(m, d)) + draw.normal(size=d)
    if not weighted:
        return x, y, None, None
    a, b = draw.random(n) * (draw.random(n) < 0.8) + 1e-9, draw.random(m)
    return x, y, a / a.sum(), b / b.sum()


@settings(max_examples=120, deadline=None)
@given(sizes, sizes, dimensions, exponents, seeds, st.booleans())
def test_equals_pot(n: int, m: int, d: int, p: float, seed: int, weighted: bool) -> None:
    x, y, a, b = samples(n, m, d, seed, weighted)
    full_a, full_b = (np.full(k, 1 / k) if w is None else w for k, w in ((n, a), (m, b)))
    cost = np.linalg.norm(x[:, None] - y, axis=2) ** p  # products lose digits
    truth = float(ot.emd2(full_a, full_b, cost))
    result = otdist.wasserstein(x, y, a=a, b=b, p=p)
    assert result.cost == pytest.approx(truth, rel=RELATIVE)
    assert result.distance == pytest.approx(truth ** (1 / p), rel=RELATIVE)
    assert result.lower <= result.distance <= result.upper
    assert result.gap <= 1e-9 * result.distance
    f, g = result.potentials
    assert (f[:, None] + g - cost).max() <= 1e-12 * cost.max()
    assert full_a @ f + full_b @ g == pytest.approx(truth, rel=1e-9)
    plan = result.plan.toarray()
    assert abs(plan.sum(1) - full_a).max() <= 1e-12
    assert abs(plan.sum(0) - full_b).max() <= 1e-12
    assert (plan > 0).sum() <= n + m - 1
    given_cost = otdist.transport(cost, a=a, b=b)
    assert given_cost.cost == given_cost.distance == pytest.approx(truth, rel=RELATIVE)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, seeds)
def test_equals_scipy_on_the_line(n: int, m: int, seed: int) -> None:
    x, y, a, b = samples(n, m, 1, seed)
    truth = scipy.stats.wasserstein_distance(x[:, 0], y[:, 0], a, b)
    assert otdist.wasserstein(x[:, 0], y[:, 0], a=a, b=b).distance == pytest.approx(truth)


@pytest.mark.parametrize("problem", problems.catalogue(), ids=lambda problem: problem.name)
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_known_answers(problem: problems.Problem, p: float) -> None:
    truth = problem.sample(p)
    if truth is None:
        pytest.skip("no closed form at this p")
    result = otdist.wasserstein(problem.x, problem.y, a=problem.a, b=problem.b, p=p)
    assert result.distance == pytest.approx(truth, rel=1e-9, abs=1e-12)
    assert result.lower * (1 - 1e-12) <= truth <= result.upper * (1 + 1e-12) + 1e-12


@settings(max_examples=60, deadline=None)
@given(sizes, dimensions, exponents, seeds, st.sampled_from([1e-150, 1e-8, 1.0, 1e8, 1e150]))
def test_metric_laws(n: int, d: int, p: float, seed: int, size: float) -> None:
    x, y, a, b = samples(n, n + 1, d, seed)
    z = np.random.default_rng(seed + 1).normal(size=(3, d))

    def w(u, v, wu=None, wv=None) -> float:
        return float(otdist.wasserstein(u, v, a=wu, b=wv, p=p).distance)

    xy = w(x, y, a, b)
    assert w(x, x, a, a) == 0
    assert w(y, x, b, a) == pytest.approx(xy, rel=1e-9)
    assert xy <= w(x, z, a) + w(z, y, None, b) + 1e-9 * xy
    assert w(size * x, size * y, a, b) == pytest.approx(size * xy, rel=1e-9)
    order = np.random.default_rng(seed).permutation(n)
    assert w(x[order], y, a[order], b) == pytest.approx(xy, rel=1e-9)
    shift = np.round(np.random.default_rng(seed).normal(size=d) * 1e8)
    assert w(x + shift, y + shift, a, b) == pytest.approx(xy, rel=1e-5)


def test_offset_costs_only_the_rounding_of_the_samples() -> None:
    x, y, *_ = samples(40, 40, 3, 0, weighted=False)
    x32, y32 = (np.float32(v + 1000) for v in (x, y))
    exact = otdist.wasserstein(np.float64(x32), np.float64(y32), p=2).distance
    assert otdist.wasserstein(x32, y32, p=2).distance == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("p", [1.0, 2.0, 5.0])
def test_extreme_magnitudes(d: int, p: float) -> None:
    x, y = np.full((3, d), -1e300), np.full((2, d), 1e300)
    result = otdist.wasserstein(x, y, p=p)
    assert result.distance == pytest.approx(2e300 * math.sqrt(d))
    assert p == 1 or result.cost == math.inf
    tiny = otdist.wasserstein(np.full((2, d), 5e-324), np.zeros((3, d)), p=p)
    assert tiny.distance == pytest.approx(5e-324 * math.sqrt(d), rel=0.5)


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("p", [1.0, 1.5, 2.0])
def test_numpy_and_torch_agree(d: int, p: float) -> None:
    x, y, a, b = samples(9, 7, d, 0)
    ours = otdist.wasserstein(x, y, a=a, b=b, p=p)
    theirs = otdist.wasserstein(torch.tensor(x), torch.tensor(y), a=torch.tensor(a), b=b, p=p)
    assert isinstance(ours.distance, float)
    assert theirs.distance.shape == ()
    assert theirs.distance.dtype == torch.float64
    assert ours.distance == theirs.distance.item()
    assert np.array_equal(ours.potentials[1], theirs.potentials[1].numpy())
    assert otdist.wasserstein(torch.tensor(x).float(), torch.tensor(y).float()).distance.dtype == (
        torch.float32
    )


@pytest.mark.parametrize("what", ["distance", "cost"])
@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
def test_gradients_in_points_and_weights(d: int, p: float, what: str) -> None:
    draw = torch.Generator().manual_seed(3)
    inputs = [
        torch.randn(*s, generator=draw, dtype=torch.float64) for s in ((5, d), (4, d), (5,), (4,))
    ]
    inputs = [t.requires_grad_() for t in inputs]

    def value(x, y, u, v):
        return getattr(otdist.wasserstein(x, y, a=u.softmax(0), b=v.softmax(0), p=p), what)

    assert torch.autograd.gradcheck(value, inputs)


def test_gradient_of_transport_is_the_plan() -> None:
    draw = torch.Generator().manual_seed(0)
    cost = torch.rand(4, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    result = otdist.transport(cost)
    result.cost.backward()
    torch.testing.assert_close(cost.grad, result.plan.to_dense())


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("p", [1.0, 1.5, 2.0])
def test_gradient_is_zero_at_identical_samples(d: int, p: float) -> None:
    x = torch.randn(6, d, generator=torch.Generator().manual_seed(0), requires_grad=True)
    result = otdist.wasserstein(x, x.detach().clone(), p=p)
    result.distance.backward()
    assert result.distance == 0
    assert x.grad is not None
    assert (x.grad == 0).all()


def test_a_second_derivative_raises() -> None:
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    cost = otdist.wasserstein(x, torch.zeros(3, 2), p=2).cost
    (slope,) = torch.autograd.grad(cost, x, create_graph=True)
    with pytest.raises(RuntimeError):
        slope.sum().backward()


def test_global_random_state_is_untouched() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    otdist.wasserstein(*samples(50, 50, 2, 0)[:2])
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"rtol": -1.0}, ValueError, "rtol must be finite and at least 0"),
        ({"rtol": math.nan}, ValueError, "rtol"),
        ({"solver": "sinkhorn"}, TypeError, "solver must be a solver object"),
        ({"solver": otdist.Exact}, TypeError, "solver must be a solver object"),
        ({"start": 3}, TypeError, "start must be an earlier OTResult"),
        ({"p": 0}, ValueError, "p must be finite and at least 1"),
    ],
)
def test_options_are_checked(options: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        otdist.wasserstein([[0.0, 0.0]], [[1.0, 1.0]], **options)


def test_start_of_another_size_is_refused() -> None:
    start = otdist.wasserstein([[0.0, 0.0]], [[1.0, 1.0]])
    with pytest.raises(ValueError, match="same sizes"):
        otdist.wasserstein([[0.0, 0.0], [1.0, 0.0]], [[1.0, 1.0]], start=start)


@pytest.mark.parametrize(
    "cost, text",
    [
        ([[1.0, math.nan]], "cost must be finite"),
        ([[1.0, -1.0]], "cost must be non-negative"),
        ([1.0, 2.0], r"cost must have shape \(n, m\)"),
        (np.zeros((0, 2)), r"cost must have shape \(n, m\)"),
    ],
)
def test_bad_matrices(cost: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        otdist.transport(cost)


def test_what_does_not_fit_is_refused_before_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    from otdist.exact import memory

    monkeypatch.setattr(memory, "available", lambda: 1e6)
    x, y = np.random.default_rng(0).normal(size=(2, 2000, 2))
    with pytest.raises(MemoryError, match="2,000 by 2,000 points needs about"):
        otdist.wasserstein(x, y)
