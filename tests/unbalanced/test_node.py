"""Costs with one more node: every way of asking for them says the same."""

import pytest
import torch

from otdist.core.point_cost import MatrixCost, PointCost
from otdist.unbalanced.node import NodeCost

PRICES = (0.3, 0.7, 0.1)


def costs(kind, dtype=torch.float64):
    """Costs of 4 by 3 points, and the whole matrix with the node."""
    draw = torch.Generator().manual_seed(0)
    x, y = (torch.randn(k, 2, generator=draw, dtype=torch.float64).to(dtype) for k in (4, 3))
    base = PointCost(x, y, kind) if kind else MatrixCost(torch.cdist(x, y))
    whole = torch.empty(5, 4, dtype=torch.float64)
    whole[:4, :3], whole[:4, 3], whole[4, :3], whole[4, 3] = base.dense(), *PRICES
    return NodeCost.around(base, PRICES), whole


@pytest.mark.parametrize("kind", [None, 1, 2])
def test_rows_pairs_transpose_and_parts_agree(kind):
    cost, whole = costs(kind)
    assert cost.shape == (5, 4)
    torch.testing.assert_close(cost.dense(), whole)
    torch.testing.assert_close(cost.T.dense(), whole.T)
    torch.testing.assert_close(cost.rows(3, 5), whole[3:5])
    i, j = torch.arange(5).repeat_interleave(4), torch.arange(4).repeat(5)
    torch.testing.assert_close(cost.pairs(i, j), whole.flatten())
    i, j = torch.tensor([4, 0, 4]), torch.tensor([1, 3, 3, 0])
    torch.testing.assert_close(cost.sub(i, j).dense(), whole[i][:, j])
    torch.testing.assert_close(cost.sub(i, j).T.dense(), whole[i][:, j].T)
    assert cost.largest >= float(whole.max())


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_factors_bound_costs_from_below(p, dtype):
    cost, whole = costs(p)
    left, right = cost.lifted(dtype)
    found = (left @ right).double().clamp(min=0) ** (p / 2)
    assert bool((found <= whole).all())
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)
    part = cost.sub(torch.tensor([4, 0]), torch.tensor([1, 3, 0])).T
    left, right = part.lifted(dtype)
    found = (left @ right).double().clamp(min=0) ** (p / 2)
    torch.testing.assert_close(found, part.dense(), rtol=1e-4, atol=1e-5)
    assert costs(None)[0].lifted(dtype) is None


def test_arcs_are_those_of_the_node():
    cost, _ = costs(1)
    i, j = cost.arcs
    assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == sorted(
        [(k, 3) for k in range(4)] + [(4, k) for k in range(4)]
    )


@pytest.mark.parametrize("kind", [None, 1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_soft_minima_are_those_of_the_matrix(kind, dtype):
    cost, whole = costs(kind, dtype)
    eps = 0.2
    for side, matrix in ((cost, whole), (cost.T, whole.T), (cost.to(dtype), whole)):
        h = torch.linspace(-1, 1, matrix.shape[1], dtype=torch.float64)
        found = side.softmin(h, eps).double()
        expected = -eps * torch.logsumexp((h - matrix) / eps, 1)
        torch.testing.assert_close(
            found, expected, rtol=1e-4 if dtype == torch.float32 else 1e-10, atol=1e-5
        )
