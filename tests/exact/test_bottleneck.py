"""W_∞ against linear programmes and brute force, with proofs by cuts, gradients and refusals."""

import math
from itertools import permutations

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import torch
from scipy.spatial.distance import cdist

import otdist
from otdist import metrics, wasserstein

RNG = np.random.default_rng(0)
METRICS = ["euclidean", "cityblock", "chebyshev", "cosine", "angular", metrics.Periodic(1.3)]


def served(costs, a, b, limit):
    """Whether a linear programme finds a plan within the limit."""
    n, m = costs.shape
    ends = np.vstack([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    bounds = [(0, None if c <= limit else 0) for c in costs.ravel()]
    found = scipy.optimize.linprog(
        np.zeros(n * m), A_eq=ends, b_eq=np.concatenate([a, b]), bounds=bounds
    )
    return found.status == 0


def truth(costs, a, b):
    values = np.unique(costs)
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if served(costs, a, b, values[middle]) else (middle + 1, high)
    return values[low]


def check(found, costs, a, b):
    """The plan, and the cut that the potentials are."""
    assert found.lower <= found.distance <= found.upper
    assert found.gap <= 1e-9 * costs.max()
    plan = found.plan.toarray()
    assert plan.sum(1) == pytest.approx(a, abs=1e-11)
    assert plan.sum(0) == pytest.approx(b, abs=1e-11)
    assert costs[plan > 0].max() == pytest.approx(found.distance, abs=1e-9)
    f, g = found.potentials
    assert (f[:, None] + g <= costs + 1e-9).all()
    if found.distance > 0:
        assert a @ f + b @ g > 0


@pytest.mark.parametrize("metric", METRICS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("m", [7, 5])
def test_it_is_the_least_limit_of_a_linear_programme(metric, weighted, m):
    x, y = RNG.normal(size=(7, 2)), RNG.normal(size=(m, 2))
    a, b = np.full(7, 1 / 7), np.full(m, 1 / m)
    if weighted:
        a = RNG.random(7)
        a /= a.sum()
    ground = metrics.named(metric)
    costs = cdist(x, y)
    if ground is not None:
        points = [ground.enter(torch.from_numpy(z), "x") for z in (x, y)]
        costs = ground.block(*points).numpy()
    found = wasserstein(x, y, a=a if weighted else None, p=math.inf, metric=metric)
    assert found.distance == pytest.approx(truth(costs, a, b), rel=1e-12)
    assert found.p == math.inf
    assert found.cost == found.distance
    assert found.converged
    check(found, costs, a, b)


def test_it_is_the_best_permutation():
    x, y = RNG.normal(size=(2, 6, 3))
    costs = cdist(x, y)
    best = min(max(costs[range(6), order]) for order in permutations(range(6)))
    assert wasserstein(x, y, p=math.inf).distance == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sizes", [(1, 1), (1, 4), (9, 9), (8, 6)])
def test_the_line_agrees_with_the_search(weighted, sizes):
    n, m = sizes
    x, y, a = RNG.normal(size=n), RNG.normal(size=m).round(1), RNG.random(n)
    a = a / a.sum() if weighted else None
    by_line = wasserstein(x, y, a=a, p=math.inf)
    flat = [np.column_stack([z, np.zeros(len(z))]) for z in (x, y)]
    by_search = wasserstein(*flat, a=a, p=math.inf)
    assert by_line.distance == pytest.approx(by_search.distance, rel=1e-12)
    full = np.full(n, 1 / n) if a is None else a
    check(by_line, np.abs(x[:, None] - y), full, np.full(m, 1 / m))


def test_it_is_the_limit_of_powers():
    x, y = RNG.normal(size=(2, 40))
    high = wasserstein(x, y, p=1e5).distance
    assert high == pytest.approx(wasserstein(x, y, p=math.inf).distance, rel=1e-4)


@pytest.mark.parametrize("d", [1, 2])
def test_equal_samples_are_at_distance_zero(d):
    x = RNG.normal(size=(20, d))
    found = wasserstein(x, x[::-1].copy(), p=math.inf)
    assert found.distance == found.upper == 0
    assert found.converged


def test_points_without_weight_do_not_exist():
    x, y = RNG.normal(size=(2, 6, 2))
    padded = np.vstack([x, [[100.0, 0.0]]])
    found = wasserstein(padded, y, a=np.append(np.full(6, 1 / 6), 0.0), p=math.inf)
    assert found.distance == pytest.approx(wasserstein(x, y, p=math.inf).distance)
    assert found.plan.shape == (7, 6)
    f, g = found.potentials
    assert (f[:, None] + g <= cdist(padded, y) + 1e-12).all()


def test_the_rounding_of_weights_moves_nothing():
    x, y = np.array([[0.0, 0.0], [5.0, 0.0]]), np.array([[0.1, 0.0], [5.1, 0.0]])
    a, b = np.array([0.1 + 0.2, 0.7]), np.array([0.3, 0.7])
    assert wasserstein(x, y, a=a, b=b, p=math.inf).distance == pytest.approx(0.1)
    assert wasserstein(x[:, 0], y[:, 0], a=a, b=b, p=math.inf).distance == pytest.approx(0.1)
    assert wasserstein(x, y, a=[0.31, 0.69], b=b, p=math.inf).distance == pytest.approx(5.1)


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", metrics.Periodic(9.0)], ids=str)
@pytest.mark.parametrize("d", [1, 2])
def test_gradients_agree_with_differences(metric, d):
    x, y = (torch.from_numpy(RNG.normal(size=(6, d))).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(
        lambda x, y: wasserstein(x, y, p=math.inf, metric=metric).distance, (x, y)
    )


def test_single_precision_offsets_and_batches():
    x, y = RNG.normal(size=(2, 3, 12, 2))
    batch = wasserstein(x + 1e6, y + 1e6, p=math.inf)
    single = [wasserstein(u + 1e6, v + 1e6, p=math.inf).distance for u, v in zip(x, y, strict=True)]
    assert batch.distance.tolist() == single
    line = wasserstein(x[..., :1], y[..., :1], p=math.inf)
    assert line.distance[0] == wasserstein(x[0, :, 0], y[0, :, 0], p=math.inf).distance
    half = wasserstein(torch.tensor(x[0]).float(), torch.tensor(y[0]).float(), p=math.inf)
    assert half.distance.dtype == torch.float32
    assert half.lower <= float(half.distance) <= half.upper


def test_tests_and_all_pairs_take_it():
    x, y = RNG.normal(size=(12, 2)), RNG.normal(size=(9, 2)) + 5
    test = otdist.two_sample_test(x, y, "wasserstein", p=math.inf, n_permutations=19)
    assert test.pvalue == 0.05
    found = otdist.pairwise([x, y], distance=otdist.wasserstein, p=math.inf)
    assert found.matrix[0, 1] == wasserstein(x, y, p=math.inf).distance


def test_what_does_not_apply_is_refused():
    x, y = RNG.normal(size=(2, 12, 2))
    wide = {"p": math.inf}
    for solver in (otdist.Sinkhorn(eps=0.1), otdist.Sliced(), otdist.Exact(max_seconds=1.0)):
        with pytest.raises(ValueError, match="solver must be left out at p = inf"):
            wasserstein(x, y, solver=solver, **wide)
    with pytest.raises(ValueError, match="start must be left out at p = inf"):
        wasserstein(x, y, start=wasserstein(x, y), **wide)
    with pytest.raises(ValueError, match="a and b must not require a gradient"):
        wasserstein(torch.tensor(x), torch.tensor(y), a=torch.full((12,), 1 / 12).requires_grad_(),
                    **wide)  # fmt: skip
    for call in (otdist.sliced_wasserstein, otdist.entropic_cost, otdist.losses.ExactLoss):
        with pytest.raises(ValueError, match="p must be finite"):
            call(x, y, **wide) if call is not otdist.losses.ExactLoss else call(**wide)
    with pytest.raises(ValueError, match="p must be finite"):
        otdist.confidence_interval(RNG.normal(size=(30, 2)), RNG.normal(size=(30, 2)) + 5, **wide)
    assert wasserstein(x, y, solver=otdist.Exact(), **wide).converged


@pytest.mark.parametrize("weighted", [False, True])
def test_a_matrix_has_the_bottleneck_of_its_entries(weighted):
    costs, a = RNG.random((7, 5)), RNG.random(7)
    costs[:3] *= 1e-3
    a = a / a.sum() if weighted else np.full(7, 1 / 7)
    found = otdist.transport(costs, a=a, p=math.inf)
    assert found.distance == pytest.approx(truth(costs, a, np.full(5, 0.2)), rel=1e-12)
    check(found, costs, a, np.full(5, 0.2))
    x, y = RNG.normal(size=(2, 9, 2))
    by_points = wasserstein(x, y, p=math.inf)
    assert otdist.transport(cdist(x, y), p=math.inf).distance == pytest.approx(by_points.distance)
    single = otdist.transport(torch.tensor(costs).float(), p=math.inf)
    assert single.lower <= float(single.distance) <= single.upper
    assert single.distance.dtype == torch.float32


@pytest.mark.parametrize("sparse", [False, True])
def test_forbidden_pairs_of_a_matrix_stand_above_all_others(sparse):
    costs = np.array([[1.0, 2.0, 9.0], [3.0, math.inf, 4.0], [math.inf, 5.0, math.inf]])
    allowed = np.isfinite(costs).nonzero()
    given = scipy.sparse.coo_array((costs[allowed], allowed), (3, 3)) if sparse else costs
    found = otdist.transport(given, p=math.inf)
    assert found.distance == 5
    check(found, costs, np.full(3, 1 / 3), np.full(3, 1 / 3))
    costs[2, 1] = math.inf
    for blocked in (costs, np.full((2, 2), math.inf)):
        with pytest.raises(ValueError, match="cost must allow all mass to move: sources"):
            otdist.transport(blocked, p=math.inf)


def test_the_gradient_of_a_matrix_is_at_its_bottleneck():
    costs = torch.tensor(RNG.random((5, 5)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda c: otdist.transport(c, p=math.inf).distance, costs)
    blocked = torch.tensor([[1.0, math.inf], [3.0, 2.0]], requires_grad=True)
    otdist.transport(blocked, p=math.inf).distance.backward()
    assert blocked.grad.tolist() == [[0, 0], [0, 1]]
    for option in ({"mass": 0.5}, {"reach": 1.0}, {"solver": otdist.Sinkhorn(eps=0.1)}):
        with pytest.raises(ValueError, match="must be left out at p = inf"):
            otdist.transport(costs.detach(), p=math.inf, **option)
    with pytest.raises(ValueError, match="p must be at most 1: got 2"):
        otdist.transport(costs.detach(), p=2)
