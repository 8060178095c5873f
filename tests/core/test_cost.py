"""The cost engine against plain formulas in float64, and where it must be exact."""

from __future__ import annotations

import pytest
import torch

import otdist.core.cost as blocks
from otdist.core.point_cost import Cost, MatrixCost, PointCost

# Rounding of one cost relative to the largest, in units of the dtype's epsilon.
UNITS = 8


def cloud(n: int, d: int, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64).to(dtype)


def reference(x: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
    return (x.double()[:, None] - y.double()).norm(dim=2) ** p


CASES = [
    pytest.param(p, d, dtype, id=f"p={p}-d={d}-{str(dtype)[6:]}")
    for p in (1.0, 1.5, 2.0, 3.0)
    for d in (1, 3, 20, 100)
    for dtype in (torch.float32, torch.float64)
]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows, so that every reduction crosses block borders."""
    monkeypatch.setattr(blocks, "_CPU_BLOCK", 500)


@pytest.mark.parametrize("p, d, dtype", CASES)
def test_reductions_equal_the_plain_formulas(p: float, d: int, dtype: torch.dtype) -> None:
    x, y = cloud(60, d, dtype), cloud(47, d, dtype, seed=1)
    y[:10] = x[:10]
    y[10:14] = x[10:14] + 1e-4
    c, cost = reference(x, y, p), PointCost(x, y, p)
    size = float(c.max())
    close = UNITS * torch.finfo(dtype).eps * size * (1 + d**0.5)
    g = torch.linspace(0, 0.01 * size, 47, dtype=torch.float64)
    eps = 0.05 * float(c.mean())

    assert (cost.dense() - c).abs().max() <= close
    soft = -eps * torch.logsumexp((g - c) / eps, 1)
    assert (cost.softmin(g, eps) - soft).abs().max() <= close
    assert (
        cost.T.softmin(torch.zeros(60), eps) - (-eps * torch.logsumexp(-c.T / eps, 1))
    ).abs().max() <= close
    a, b = torch.full((60,), 1 / 60).double(), torch.full((47,), 1 / 47).double()
    assert abs(float(cost.mean(a, b) - a @ c @ b)) <= close
    assert (cost.apply(g) - c @ g).abs().max() <= close * float(g.sum())
    assert cost.largest >= size * (1 - 1e-12)


@pytest.mark.parametrize("p, d, dtype", CASES)
def test_minima_are_by_direct_differences(p: float, d: int, dtype: torch.dtype) -> None:
    x, y = cloud(60, d, dtype), cloud(47, d, dtype, seed=1)
    y[:10] = x[:10]
    zero = torch.zeros(47, dtype=dtype)
    values, where = PointCost(x, y, p).ctransform(zero)
    near, columns = PointCost(x, y, p).nearest(zero, 3)
    truth, index = reference(x, y, p).sort(1)
    unit = UNITS * torch.finfo(dtype).eps
    if dtype == torch.float64 or d > 64:  # otherwise float32 rounds a float64 product
        assert values[:10].abs().max() == 0
    torch.testing.assert_close(values.double(), truth[:, 0], rtol=unit, atol=unit)
    torch.testing.assert_close(near.double(), truth[:, :3], rtol=unit, atol=unit)
    assert torch.equal(where, index[:, 0])
    assert torch.equal(columns, index[:, :3])


def test_ctransform_makes_any_potential_feasible() -> None:
    x, y = cloud(50, 30, torch.float64), cloud(40, 30, torch.float64, seed=1)
    cost = PointCost(x, y, 1)
    g = torch.linspace(-1, 1, 40, dtype=torch.float64)
    f, where = cost.ctransform(g)
    assert (f[:, None] + g <= reference(x, y, 1) + 1e-14).all()
    torch.testing.assert_close(f, cost.pairs(torch.arange(50), where) - g[where])


def test_duplicates_everywhere_are_settled() -> None:
    x = torch.ones(30, 20, dtype=torch.float64)
    values, where = PointCost(x, x, 1).ctransform(torch.zeros(30))
    assert values.abs().max() == 0
    assert ((where >= 0) & (where < 30)).all()


@pytest.mark.parametrize("p", [1.0, 2.0, 2.5])
def test_plan_blocks_and_forces(p: float) -> None:
    x, y = cloud(30, 3, torch.float64).requires_grad_(), cloud(20, 3, torch.float64, seed=1)
    weight = torch.rand(30, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (weight * reference_with_graph(x, y, p)).sum().backward()
    cost = PointCost(x, y, p)
    pull = torch.empty(30, 3, dtype=torch.float64)
    for part, c in cost.blocks():
        pull[part] = cost.force(part, c, weight[part].clone())
    torch.testing.assert_close(pull, x.grad)

    f, g = torch.linspace(0, 1, 30).double(), torch.linspace(1, 0, 20).double()
    expected = ((f[:, None] + g - reference(x.detach(), y, p)) / 0.3).exp()
    for part, c, plan in cost.plan_blocks(f, g, 0.3):
        torch.testing.assert_close(plan, expected[part])
        torch.testing.assert_close(c, reference(x.detach(), y, p)[part])


def reference_with_graph(x: torch.Tensor, y: torch.Tensor, p: float) -> torch.Tensor:
    return (x[:, None] - y).square().sum(2) ** (p / 2)


def test_force_between_coinciding_points_is_zero() -> None:
    x = torch.zeros(2, 2)
    cost = PointCost(x, x, 1)
    ((part, c),) = list(cost.blocks())
    assert torch.equal(cost.force(part, c, torch.ones(2, 2)), torch.zeros(2, 2))


def test_softmin_drops_columns_without_weight_and_does_not_underflow() -> None:
    x, y = cloud(20, 2, torch.float32), 100 + cloud(10, 2, torch.float32)
    h = torch.zeros(10, dtype=torch.float64)
    h[5:] = -torch.inf
    soft = PointCost(x, y, 2).softmin(h, 1e-3)
    c = reference(x, y, 2)[:, :5]
    assert torch.isfinite(soft).all()
    torch.testing.assert_close(soft.double(), c.min(1).values, rtol=1e-5, atol=0)


def test_a_matrix_is_a_cost_like_any_other() -> None:
    x, y = cloud(30, 2, torch.float64), cloud(20, 2, torch.float64, seed=1)
    points: Cost = PointCost(x, y, 1)
    matrix: Cost = MatrixCost(points.dense())
    g = torch.linspace(0, 1, 20, dtype=torch.float64)
    i, j = torch.tensor([3, 4]), torch.tensor([5, 6])
    torch.testing.assert_close(matrix.softmin(g, 0.1), points.softmin(g, 0.1))
    torch.testing.assert_close(matrix.T.softmin(points.ctransform(g)[0], 0.1),
                               points.T.softmin(points.ctransform(g)[0], 0.1))  # fmt: skip
    for ours, theirs in zip(matrix.ctransform(g), points.ctransform(g), strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(matrix.pairs(i, j), points.pairs(i, j))
    torch.testing.assert_close(matrix.sub(i, j).dense(), points.sub(i, j).dense())
    assert matrix.to(torch.float32).dtype == torch.float32
    before = matrix.dense()
    for _, block in matrix.blocks():
        block.zero_()
    assert torch.equal(matrix.dense(), before)


def test_nearest_takes_no_more_than_there_are() -> None:
    values, columns = PointCost(cloud(5, 2, torch.float64), cloud(3, 2, torch.float64), 2).nearest(
        torch.zeros(3), 10
    )
    assert values.shape == columns.shape == (5, 3)


def test_costs_carry_no_graph() -> None:
    x = cloud(5, 2, torch.float64).requires_grad_()
    assert not PointCost(x, x, 2).softmin(torch.zeros(5), 0.1).requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_powers_of_two_are_exact_or_zero_and_never_subnormal(dtype: torch.dtype) -> None:
    exponents = torch.arange(-1200.0, 10.0, 0.25, dtype=dtype)
    found = blocks.exp2_(exponents.clone())
    kept = found > 0
    assert float(found[kept].min()) >= torch.finfo(dtype).tiny
    assert bool(kept[exponents > -90].all())  # far below what a sum of float32 can hold
    torch.testing.assert_close(found[kept], torch.exp2(exponents[kept]))
    stored = blocks.exp2_(exponents.double(), torch.float32).float()
    assert float(stored[stored > 0].min()) >= torch.finfo(torch.float32).tiny


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lowest_is_the_minimum_and_its_place(dtype: torch.dtype) -> None:
    block = cloud(30, 17, dtype)
    block[3] = 1.0
    values, at = blocks.lowest(block)
    assert bool((values == block.amin(1)).all())
    assert bool((block.gather(1, at[:, None])[:, 0] == values).all())


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_centred_costs_are_the_same_and_round_less(p: float) -> None:
    x, y = cloud(20, 3, torch.float32) + 8, cloud(30, 3, torch.float32, seed=1) + 8
    cost = PointCost(x, y, p)
    centred = cost.centred()
    assert centred.rounding < 0.5 * cost.rounding
    torch.testing.assert_close(centred.dense(), cost.dense(), rtol=1e-4, atol=1e-5)
    matrix = MatrixCost(cost.dense())
    assert matrix.centred() is matrix


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_marks_of_a_block_and_of_a_product(dtype: torch.dtype) -> None:
    left, right = cloud(30, 4, dtype), cloud(17, 4, dtype, seed=1).T.contiguous()
    product = left @ right
    bounds = cloud(30, 1, dtype, seed=2)
    assert torch.equal(blocks.less(product.clone(), bounds), product < bounds)
    assert torch.equal(blocks.less(product.clone(), -0.5), product < -0.5)
    i, j = blocks.where(blocks.negative(left, right), 100, 20)
    hit = (product < 0).nonzero()
    assert torch.equal(i, hit[:, 0] + 100)
    assert torch.equal(j, hit[:, 1] + 20)
    none = blocks.where(blocks.less(product.clone(), -1e9), 3)
    assert [len(part) for part in none] == [0, 0]
