"""Column generation: equal to the dense simplex, proved for all pairs, and bounded when stopped."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import otdist
from otdist.core.metric import MetricCost
from otdist.core.point_cost import MatrixCost, PointCost
from otdist.core.result import ConvergenceWarning
from otdist.exact import column_generation, pricing
from otdist.exact.limits import Sizes
from otdist.exact.pricing import Pricer
from otdist.exact.violations import Violations
from otdist.metrics import Angular, Cityblock

COST_RTOL = 1e-9  # of the cost, or of 1e-12 of the largest pair where the cost all but vanishes
MARGINAL_ATOL = 1e-12


def wasserstein(x, y, *, max_seconds=None, pairs=0, nearest=12, **options):
    """By column generation, whatever the size."""
    solver = otdist.Exact(max_seconds, _sizes=Sizes(matrix_pairs=pairs, nearest=nearest))
    return otdist.wasserstein(x, y, solver=solver, **options)


def clouds(kind, n, m, d, rng):
    if kind == "integers":
        return rng.integers(0, 4, (n, d)).astype(float), rng.integers(0, 4, (m, d)).astype(float)
    if kind == "lattice":
        side = 8
        grid = np.stack(np.unravel_index(np.arange(side**2), (side, side)), 1).astype(float)
        grid = np.pad(grid, ((0, 0), (0, d - 2)))
        return grid[np.arange(n) % side**2], grid[np.arange(m) % side**2] + 1
    if kind == "clusters":
        x = 100 * rng.integers(0, 3, (n, 1)) + 1e-4 * rng.normal(size=(n, d))
        return x, 100 * rng.integers(0, 3, (m, 1)) + 1e-4 * rng.normal(size=(m, d))
    if kind == "far":
        return 1e6 + rng.normal(size=(n, d)), 1e6 + rng.normal(size=(m, d))
    return rng.normal(size=(n, d)), 1.2 * rng.normal(size=(m, d)) + 0.5


def weights(kind, n, rng):
    if kind == "uniform":
        return np.full(n, 1 / n)
    if kind == "wide":
        w = 10 ** rng.uniform(-12, 0, n)
    else:
        w = rng.random(n) * (rng.random(n) < 0.7)
        w[0] = 1.0
    return w / w.sum()


def check(result, x, y, a, b, p):
    cost = np.linalg.norm(x[:, None] - y[None], axis=2) ** p
    truth = float(np.asarray(ot.emd2(a, b, cost, numItermax=10**7)))
    scale = max(abs(truth), 1e-12 * cost.max(), 1e-300)
    assert abs(result.cost - truth) <= COST_RTOL * scale
    plan = result.plan
    assert np.abs(np.asarray(plan.sum(1)).ravel() - a).max() <= MARGINAL_ATOL
    assert np.abs(np.asarray(plan.sum(0)).ravel() - b).max() <= MARGINAL_ATOL
    assert plan.nnz <= len(a) + len(b) - 1
    f, g = result.potentials
    assert (f[:, None] + g - cost).max() <= 1e-13 * max(cost.max(), 1e-300)
    assert result.converged
    assert result.lower <= result.distance <= result.upper


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    n=st.integers(1, 60),
    m=st.integers(1, 60),
    d=st.integers(2, 11),
    p=st.sampled_from([1.0, 1.5, 2.0, 3.0]),
    points=st.sampled_from(["normal", "integers", "lattice", "clusters", "far"]),
    masses=st.sampled_from(["uniform", "random", "wide"]),
    seed=st.integers(0, 2**20),
)
def test_equals_the_dense_simplex(n, m, d, p, points, masses, seed):
    rng = np.random.default_rng(seed)
    x, y = clouds(points, n, m, d, rng)
    a, b = weights(masses, n, rng), weights(masses, m, rng)
    check(wasserstein(x, y, a=a, b=b, p=p), x, y, a, b, p)


@pytest.mark.parametrize("p", [1.0, 2.0])
@pytest.mark.parametrize("d", [2, 10])
def test_several_rounds_end_at_the_optimum(p, d):
    rng = np.random.default_rng(0)
    x, y = clouds("normal", 400, 300, d, rng)
    a, b = weights("random", 400, rng), weights("uniform", 300, rng)
    result = wasserstein(x, y, a=a, b=b, p=p, nearest=3)
    assert result.iterations > 1
    check(result, x, y, a, b, p)


def test_a_given_matrix():
    rng = np.random.default_rng(1)
    cost = rng.random((150, 120))
    result = otdist.transport(cost, solver=otdist.Exact(_sizes=Sizes(matrix_pairs=0)))
    a, b = np.full(150, 1 / 150), np.full(120, 1 / 120)
    assert result.cost == pytest.approx(ot.emd2(a, b, cost, numItermax=10**7), rel=COST_RTOL)
    assert result.upper - result.lower <= 1e-9


@pytest.mark.parametrize("n", [64, 1000])
def test_identical_samples_cost_nothing(n):
    x = np.random.default_rng(2).normal(size=(n, 3))
    result = wasserstein(x, x[::-1], p=2)
    assert result.distance == 0
    assert result.lower == 0


def test_a_translation_is_exact_beside_its_size():
    x = np.random.default_rng(3).normal(size=(500, 5))
    shift = np.full(5, 2.0**-12)
    result = wasserstein(x, x + shift, p=2)
    assert result.distance == pytest.approx(np.linalg.norm(shift), rel=1e-8)
    assert result.lower == pytest.approx(result.upper, rel=1e-6)


def test_gradient_is_that_of_the_full_matrix():
    grads = []
    for pairs in (0, 10**9):
        rng = np.random.default_rng(4)
        x = torch.tensor(rng.normal(size=(40, 3)), requires_grad=True)
        y = torch.tensor(rng.normal(size=(30, 3)))
        wasserstein(x, y, p=2, pairs=pairs).cost.backward()
        grads.append(x.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-12)


def test_rtol_stops_early_with_a_proof():
    rng = np.random.default_rng(5)
    x, y = clouds("normal", 600, 600, 2, rng)
    full, early = (wasserstein(x, y, p=2, nearest=2, rtol=rtol) for rtol in (0.0, 0.05))
    assert early.iterations < full.iterations
    assert early.converged
    assert early.upper - early.lower <= 0.05 * early.lower
    assert early.lower <= full.distance <= early.upper
    assert early.gap > 0


def test_max_seconds_returns_the_bracket_so_far():
    rng = np.random.default_rng(6)
    x, y = clouds("normal", 500, 500, 2, rng)
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        stopped = wasserstein(x, y, nearest=1, max_seconds=1e-6)
    truth = wasserstein(x, y).distance
    assert not stopped.converged
    assert stopped.gap > 0
    assert stopped.lower <= truth <= stopped.upper


@pytest.mark.parametrize("when", ["start", "restrict", "price"])
def test_an_interrupt_returns_the_bracket_so_far(when, monkeypatch):
    rng = np.random.default_rng(7)
    x, y = clouds("normal", 300, 200, 3, rng)
    truth = wasserstein(x, y).distance

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    where = {
        "start": (column_generation, "usual_start"),
        "restrict": (column_generation.boxed, "solve"),
        "price": (column_generation._Run, "_price"),
    }[when]
    monkeypatch.setattr(*where, interrupt)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        result = wasserstein(x, y)
    assert not result.converged
    assert result.lower <= truth <= result.upper
    assert np.asarray(result.plan.sum()) == pytest.approx(1.0)


def test_a_start_saves_the_entropic_steps_and_changes_nothing(monkeypatch):
    rng = np.random.default_rng(8)
    x, y = clouds("normal", 300, 300, 5, rng)
    first = wasserstein(x, y, p=2)
    moved = x + 1e-3 * rng.normal(size=x.shape)
    cold = wasserstein(moved, y, p=2)

    def unwanted(*args):
        raise AssertionError("a start replaces the entropic potential")

    monkeypatch.setattr(column_generation, "usual_start", unwanted)
    warm = wasserstein(moved, y, p=2, start=first)
    assert warm.cost == pytest.approx(cold.cost, rel=COST_RTOL)


@pytest.mark.parametrize("pairs", [0, 10**9])
def test_a_single_target(pairs):
    x = np.random.default_rng(12).normal(size=(50, 3))
    result = wasserstein(x, np.zeros((1, 3)), pairs=pairs)
    assert result.distance == pytest.approx(np.linalg.norm(x, axis=1).mean(), rel=1e-12)


def test_bad_options_name_themselves():
    with pytest.raises(ValueError, match="max_seconds must be positive"):
        otdist.Exact(max_seconds=0)


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pricing_misses_no_violation(p, dtype):
    rng = np.random.default_rng(9)
    x, y = (torch.from_numpy(v) for v in clouds("clusters", 200, 300, 4, rng))
    cost = PointCost(x - 100, y - 100, p)
    g = torch.from_numpy(rng.normal(size=300))
    f, _ = cost.ctransform(g)
    f = f + 1e-3 * torch.from_numpy(rng.random(200))
    i, j = Pricer(cost, dtype).below(f, g, Pricer(cost, dtype).error, 10**6) or (None, None)
    assert i is not None
    assert j is not None
    listed = torch.zeros(200, 300, dtype=torch.bool)
    listed[i, j] = True
    violating = cost.dense() - f[:, None] - g < 0
    assert violating.any()
    assert not (violating & ~listed).any()


@pytest.mark.parametrize("spread", [1.0, 1e-3])
@pytest.mark.parametrize("level", [0.0, 0.7, 30.0])
def test_pricing_of_angles_misses_no_violation(spread, level):
    """Where f + g exceeds half a turn no product has the signs, at 30; levels cancel else."""
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=3) + spread * rng.normal(size=(2, 250, 3))
    x, y = (torch.from_numpy(z) for z in (x, -y if spread == 1 else y))
    cost, _ = (metric := Angular()).cost(*metric.enter_both(x, y)[:2], 1.0, 0.0)
    assert isinstance(cost, MetricCost)
    g, _ = cost.T.ctransform(spread * torch.from_numpy(rng.normal(size=250)) / 8)
    f, _ = cost.ctransform(g)
    excess = 1e-4 * spread * torch.from_numpy(rng.random(250))
    shift = level / cost.unit
    f, g = f + excess + shift, g - (shift if level < 1 else 0)
    assert (cost.signs(f, g) is None) == (level == 30)
    found = Pricer(cost).below(f, g, Pricer(cost).error, 10**6)
    assert found is not None
    listed = torch.zeros(cost.shape, dtype=torch.bool)
    listed[found] = True
    i, j = torch.arange(250).repeat_interleave(250), torch.arange(250).repeat(250)
    violating = cost.pairs(i, j).view(250, 250) - f[:, None] - g < 0
    assert violating.any()
    assert not (violating & ~listed).any()
    assert level == 30 or listed.sum() < 0.1 * listed.numel()


def test_pricing_gives_up_on_too_many():
    cost = MatrixCost(torch.rand(100, 100, dtype=torch.float64))
    one = torch.ones(100, dtype=torch.float64)
    assert Pricer(cost).below(one, one, 0.0, limit=50) is None


@pytest.mark.parametrize("whole", [0, 2**15])
def test_nearest_holds_the_k_nearest(whole, monkeypatch):
    monkeypatch.setattr(pricing, "_WHOLE", whole)
    monkeypatch.setattr(pricing, "_TILE", 512)
    rng = np.random.default_rng(10)
    x, y = (torch.from_numpy(rng.normal(size=(k, 3))) for k in (50, 2000))
    cost = PointCost(x, y, 2.0)
    g = torch.from_numpy(rng.normal(size=2000))
    i, j, low, spread = Pricer(cost).nearest(g, 4)
    reduced = cost.dense() - g
    assert (torch.bincount(i, minlength=50) >= 4).all()
    torch.testing.assert_close(low, reduced.amin(1), rtol=1e-4, atol=1e-4)
    assert (reduced[i, j] <= (low + spread)[i] + 1e-4).all()


def test_nearest_reaches_farther_at_every_scale(monkeypatch):
    monkeypatch.setattr(pricing, "_WHOLE", 0)  # in tiles of columns; `smallest` has whole rows
    monkeypatch.setattr(pricing, "_TILE", 512)
    rng = np.random.default_rng(12)
    x, y = (torch.from_numpy(rng.normal(size=(k, 3))) for k in (70, 1100))
    cost = PointCost(x, y, 2.0)
    g = torch.from_numpy(rng.normal(size=1100))
    reduced = (cost.dense() - g).numpy()
    i, j, _, _ = Pricer(cost, torch.float64).nearest(g, 4, farther=3)
    nearest = Pricer(cost, torch.float64).nearest(g, 4)[0]
    assert len(i) == len(nearest) + 70 * 2 * 3
    for stride in (8, 64):  # 512 would leave two columns to choose three from
        used = set()
        for row in range(70):
            mine = j[i == row].numpy()
            firsts = [
                first
                for first in range(stride)
                for thinned in [np.arange(first, 1100 // stride * stride, stride)]
                if np.isin(thinned[np.argsort(reduced[row, thinned])[:3]], mine).all()
            ]
            assert firsts
            used |= set(firsts)
        assert len(used) >= 8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_memory_maps_are_inputs(dtype, tmp_path):
    rng = np.random.default_rng(5)
    x, by = rng.integers(-99, 99, (300, 3)).astype(dtype), np.array([1, 2, 2], dtype)
    for name, values in (("x", x), ("y", rng.permutation(x + by))):
        np.save(tmp_path / f"{name}.npy", values)
    maps = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy"]
    result = otdist.wasserstein(*maps, p=2, solver=otdist.Exact(_sizes=Sizes(matrix_pairs=0)))
    assert result.distance == pytest.approx(3, rel=1e-12)
    assert result.converged


@pytest.mark.parametrize("metric", ["cityblock", "chebyshev"])
def test_pairs_that_tie_by_the_thousand_are_not_taken_for_violations(metric, monkeypatch):
    """All mass moves one way, along which sums of coordinates add up: most pairs tie."""
    rng = np.random.default_rng(13)
    x = rng.normal(size=(600, 3))
    y = x[rng.permutation(600)[:550]] + 2 + rng.random((550, 3))
    calls = []
    worst = Violations._worst
    monkeypatch.setattr(Violations, "_worst", lambda *args: calls.append(1) or worst(*args))
    found, kept = wasserstein(x, y, metric=metric), otdist.wasserstein(x, y, metric=metric)
    assert found.converged
    assert found.gap <= 1e-9 * found.distance
    assert found.distance == pytest.approx(kept.distance, rel=1e-9)
    assert bool(calls) == (metric == "cityblock")


@pytest.mark.parametrize("levels", [False, True])
def test_the_first_arcs_of_a_metric_hold_the_nearest_of_every_point(levels):
    """In whole rows a threshold takes the k smallest and some more, unless all tie."""
    rng = np.random.default_rng(14)
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(900, 3))
    x, y = (torch.from_numpy(np.round(z) if levels else z) for z in (x, y))
    cost, _ = Cityblock().cost(x, y, 1.0, 0.0)
    g = torch.zeros(900, dtype=torch.float64)
    i, j, low, spread = Pricer(cost).nearest(g, 12, 4)
    chosen = torch.zeros(50, 900, dtype=torch.bool)
    chosen[i, j] = True
    values = cost.dense().sort(1).values
    assert torch.allclose(low, values[:, 0], atol=1e-6)
    assert bool((spread >= values[:, 11] - values[:, 0] - 1e-6).all())
    reached = cost.dense() < values[:, 11:12] - 1e-6
    assert not bool((reached & ~chosen).any())
    assert len(i) <= 50 * (2 * 12 + 4 * 3)
