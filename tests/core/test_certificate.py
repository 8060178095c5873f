"""Evidence becomes a bracket: whatever the evidence, the truth is inside."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otdist.core.certificate import (
    ContradictionError,
    between,
    bracket,
    lower_from_both,
    lower_from_potentials,
    upper_from_plan,
)
from otdist.core.metric import MetricCost
from otdist.core.point_cost import MatrixCost, PointCost
from otdist.core.result import Arcs, Bracket
from otdist.metrics import Angular, Haversine, Metric

F = torch.float64


def problem(n: int, m: int, d: int, seed: int):
    draw = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(k, d, generator=draw, dtype=F) for k in (n, m))
    a, b = (torch.rand(k, generator=draw, dtype=F) for k in (n, m))
    return x, y, a / a.sum(), b / b.sum(), draw


def optimum(cost: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> float:
    from scipy.optimize import linprog

    n, m = cost.shape
    rows = torch.kron(torch.eye(n, dtype=F), torch.ones(1, m, dtype=F))
    columns = torch.kron(torch.ones(1, n, dtype=F), torch.eye(m, dtype=F))
    solution = linprog(
        cost.flatten().numpy(), A_eq=torch.cat([rows, columns]).numpy(),
        b_eq=torch.cat([a, b]).numpy(),
    )  # fmt: skip
    return float(solution.fun)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 7), st.integers(1, 7), st.integers(1, 30), st.sampled_from([1.0, 1.5, 2.0, 3.0]),
    st.integers(0, 999), st.floats(0, 100),
)  # fmt: skip
def test_any_potential_bounds_from_below(
    n: int, m: int, d: int, p: float, seed: int, size: float
) -> None:
    x, y, a, b, draw = problem(n, m, d, seed)
    cost = PointCost(x, y, p)
    truth = optimum(cost.dense(), a, b)
    f = size * torch.randn(n, generator=draw, dtype=F)
    bound = lower_from_potentials(cost, a, b, f=f)
    assert bound.cost <= truth * (1 + 1e-9)
    assert bound.cost <= bound.value
    excess = bound.f[:, None] + bound.g - cost.dense()
    assert float(excess.max()) <= 1e-15 * (cost.largest + 10 * size + 1)


def test_the_optimal_potential_closes_the_gap() -> None:
    x, y, a, b, _ = problem(6, 5, 2, 0)
    cost = PointCost(x, y, 1)
    truth = optimum(cost.dense(), a, b)
    from scipy.optimize import linprog

    n, m = cost.shape
    matrix = torch.zeros(n * m, n + m, dtype=F)
    for i in range(n):
        for j in range(m):
            matrix[i * m + j, i] = matrix[i * m + j, n + j] = 1
    dual = linprog(
        -torch.cat([a, b]).numpy(), A_ub=matrix.numpy(), b_ub=cost.dense().flatten().numpy(),
        bounds=(None, None),
    )  # fmt: skip
    bound = lower_from_potentials(cost, a, b, g=torch.from_numpy(dual.x[n:]))
    assert bound.cost == pytest.approx(truth, rel=1e-8)


def test_unknown_potentials_are_extended() -> None:
    x, y, a, b, _ = problem(4, 3, 2, 1)
    f = torch.tensor([0.1, -math.inf, 0.0, -math.inf], dtype=F)
    bound = lower_from_potentials(PointCost(x, y, 2), a, b, f=f)
    assert torch.isfinite(bound.f).all()
    assert torch.isfinite(bound.g).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_impossible_potentials_are_refused(bad: float) -> None:
    x, y, a, b, _ = problem(3, 3, 2, 1)
    with pytest.raises(ValueError, match="potential must be finite"):
        lower_from_potentials(PointCost(x, y, 2), a, b, f=torch.tensor([0.0, bad, 0.0], dtype=F))


def test_one_side_only() -> None:
    x, y, a, b, _ = problem(3, 3, 2, 1)
    with pytest.raises(ValueError, match="one of f and g"):
        lower_from_potentials(PointCost(x, y, 2), a, b)


def test_a_plan_that_misses_its_marginals_is_charged() -> None:
    cost = MatrixCost(torch.tensor([[0.0, 10.0], [10.0, 0.0]], dtype=F))
    a = b = torch.tensor([0.5, 0.5], dtype=F)
    whole = Arcs(torch.tensor([0, 1]), torch.tensor([0, 1]), a, (2, 2))
    short = Arcs(whole.rows, whole.cols, torch.tensor([0.5, 0.4], dtype=F), (2, 2))
    assert upper_from_plan(cost, a, b, whole) == (0.0, 0.0)
    # 0.1 of mass is not placed on either side: at worst it travels the longest way.
    assert upper_from_plan(cost, a, b, short)[1] >= 0.1 * 10


def test_powers_that_underflow_do_not_close_the_bracket() -> None:
    x, y = torch.zeros(1, 2, dtype=torch.float64), torch.full((1, 2), 1e-3, dtype=torch.float64)
    one, at = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    arcs = Arcs(at, at, one, (1, 1))
    value, upper = upper_from_plan(PointCost(x, y, 200.0), one, one, arcs)
    assert value == 0
    assert bracket(0.0, upper, 200.0, 1.0).upper > 1e-3 * 2**0.5
    assert upper_from_plan(PointCost(x, x, 200.0), one, one, arcs) == (0.0, 0.0)


def test_bracket_takes_the_root_outward_and_clamps() -> None:
    proof = bracket(-1.0, 4.0, 2.0, 3.0)
    assert proof.lower == 0
    assert 6 <= proof.upper <= 6 * (1 + 1e-14)


def test_bounds_that_contradict_each_other_are_an_error_of_otdist() -> None:
    with pytest.raises(ContradictionError, match="please report it: the lower bound"):
        bracket(4.0, 1.0, 2.0, 1.0)
    with pytest.raises(ContradictionError):
        between(1.0, 0.5)


@pytest.mark.parametrize("lower", [math.inf, -math.inf, math.nan])
def test_a_lower_bound_that_is_not_finite_proves_nothing(lower: float) -> None:
    assert bracket(lower, 4.0, 1.0, 1.0) == Bracket(0.0, 4.0)


@pytest.mark.parametrize("upper", [math.inf, math.nan])
def test_an_upper_bound_that_is_not_known_leaves_the_bracket_open(upper: float) -> None:
    assert bracket(1.0, upper, 1.0, 2.0) == Bracket(2.0, math.inf)


def test_a_distance_above_the_largest_number_keeps_a_finite_lower_end() -> None:
    found = bracket(1.0, 1.0, 1.0, math.inf)
    assert math.isfinite(found.lower)
    assert found.upper == math.inf


def test_squares_that_underflow_do_not_close_the_bracket_at_p_1() -> None:
    x, y = torch.zeros(1, 2, dtype=F), torch.full((1, 2), 1e-200, dtype=F)
    one, at = torch.ones(1, dtype=F), torch.zeros(1, dtype=torch.int64)
    _, upper = upper_from_plan(PointCost(x, y, 1.0), one, one, Arcs(at, at, one, (1, 1)))
    assert upper > 1e-200 * 2**0.5
    assert lower_from_potentials(PointCost(x, y, 1.0), one, one, f=torch.zeros(1)).cost <= 0


@pytest.mark.parametrize("p", [60.0, 1000.0])
@pytest.mark.parametrize("dtype", [torch.float32, F])
def test_no_power_overflows_between_points_of_one_frame(p: float, dtype: torch.dtype) -> None:
    x = torch.randn(30, 20, generator=torch.Generator().manual_seed(0), dtype=dtype) / 100
    cost = PointCost(x, x + 0.01, p)
    assert all(math.isfinite(v) for v in (cost.largest, cost.slack, cost.rounding))


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
def test_costs_that_are_not_settled_bound_from_below_too(p: float) -> None:
    x, y, a, b, draw = problem(40, 5000, 16, 3)
    x, y = x / 16, y / 16
    y[7] = x[3]  # points that coincide are where the expansion is worst
    cost = PointCost(x, y, p)
    f = torch.randn(40, generator=draw, dtype=F) / 10
    f[5] = -math.inf
    for evidence in ({"f": f}, {"g": y[:, 0]}):
        exact = lower_from_potentials(cost, a, b, **evidence)
        below = lower_from_potentials(cost, a, b, settled=0, **evidence)
        assert exact.cost - 1e-7 <= below.cost <= exact.value
        assert bool((below.f[:, None] + below.g <= cost.dense() + 1e-15).all())


def directions(metric: Metric, spread: float, p: float = 1.0) -> tuple[MetricCost, torch.Tensor]:
    """Costs between directions and their opposites, and weights, most of which are tiny."""
    draw = torch.Generator().manual_seed(8)
    centre = torch.tensor([1.0, -0.5] if isinstance(metric, Haversine) else [1, -0.5, 0.3], dtype=F)
    x = centre + spread * torch.randn(300, len(centre), generator=draw, dtype=F)
    y = torch.cat([-x[:100], x[100:200].flip(0), x[200:250] * 1.001])
    x, y, error = metric.enter_both(x, y)
    cost, _ = metric.cost(x, y, p, error)
    assert isinstance(cost, MetricCost)
    weights = torch.rand(300, generator=draw, dtype=F) ** 40 + 1e-300
    return cost, weights / weights.sum()


@pytest.mark.parametrize("metric", [Angular(), Haversine(radius=6371.0)])
@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-9])
@pytest.mark.parametrize("off", [0.0, 1e-14, 1e-6])
def test_two_potentials_that_violate_few_pairs_become_feasible(metric, spread, off):
    cost, a = directions(metric, spread)
    b = a[:250] / a[:250].sum()
    draw = torch.Generator().manual_seed(3)
    g, _ = cost.T.ctransform(0.1 * torch.rand(300, generator=draw, dtype=F) * spread)
    best, _ = cost.ctransform(g)
    f = best + off * spread * torch.rand(300, generator=draw, dtype=F)
    found = lower_from_both(cost, a, b, f, g)
    if found is None:  # all pairs are opposite or nearly equal
        assert spread < 1e-3 or float(f.max() + g.max()) * cost.unit >= math.pi
        return
    slack = 4e-15
    assert bool((found.f <= torch.minimum(f, best) + slack).all())
    assert bool((found.f[:, None] + found.g - cost.dense() <= slack + cost.slack).all())
    assert found.cost <= lower_from_potentials(cost, a, b, g=g).cost + slack
    assert found.value == pytest.approx(float(a @ torch.minimum(f, best) + b @ g), abs=slack)


def test_two_potentials_need_the_sign_of_a_product():
    cost, a = directions(Angular(), 1.0)
    b = a[:250] / a[:250].sum()
    assert lower_from_both(cost, a, b, a * 0 + 4, b * 0) is None  # above half a turn
    assert lower_from_both(cost, a, b, a * 0 + 3, b * 0) is None  # nearly all pairs violate
    squared, _ = directions(Angular(), 1.0, p=2.0)
    assert lower_from_both(squared, a, b, a * 0, b * 0) is None
    points = PointCost(cost.x, cost.y, 1.0)
    assert lower_from_both(points, a, b, a * 0, b * 0) is None
