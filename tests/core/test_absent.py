"""Points of weight zero do not exist: whatever they are, nothing changes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

import otdist
from otdist.core import measure
from otdist.core.measure import onto_present, pair

RNG = np.random.default_rng(0)
FAR = [1.0, 1e8, 1e30, 1e300]


def padded(points: np.ndarray, weights: np.ndarray, at: int, far: float) -> tuple:
    return np.insert(points, at, far, axis=0), np.insert(weights, at, 0.0)


def problem(d: int) -> tuple[np.ndarray, ...]:
    x, y = RNG.normal(size=(15, d)), RNG.normal(0.3, size=(12, d))
    a, b = RNG.random(15), RNG.random(12)
    return x, y, a / a.sum(), b / b.sum()


FUNCTIONS = {
    "exact": otdist.wasserstein,
    "sinkhorn": lambda *s, **k: otdist.wasserstein(*s, solver=otdist.Sinkhorn(), **k),
    "sliced plan": lambda *s, **k: otdist.wasserstein(*s, solver=otdist.Sliced(), **k),
    "sliced": otdist.sliced_wasserstein,
    "largest slice": otdist.max_sliced_wasserstein,
    "divergence": otdist.sinkhorn_divergence,
    "entropic": otdist.entropic_cost,
    "gaussian": otdist.gaussian_wasserstein,
    "energy": otdist.energy_distance,
    "mmd": otdist.mmd,
}


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_padding_changes_no_value(name: str, d: int, far: float) -> None:
    x, y, a, b = problem(d)
    (big_x, big_a), (big_y, big_b) = padded(x, a, 7, far), padded(y, b, 0, -far)
    plain = FUNCTIONS[name](x, y, a=a, b=b)
    more = FUNCTIONS[name](big_x, big_y, a=big_a, b=big_b)
    # sums over blocks of other sizes differ by rounding
    assert float(more) == pytest.approx(float(plain), rel=1e-13)
    for end in ("lower", "upper"):
        if hasattr(plain, end):
            assert getattr(more, end) == pytest.approx(getattr(plain, end), rel=1e-13)
    for end in ("eps", "converged", "iterations"):
        assert getattr(more, end, None) == getattr(plain, end, None)


@pytest.mark.parametrize("far", [1.0, 1e8])
@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("name", ["exact", "sinkhorn", "sliced plan"])
def test_plans_and_potentials_keep_the_callers_shape(name: str, d: int, far: float) -> None:
    x, y, a, b = problem(d)
    (big_x, big_a), (big_y, big_b) = padded(x, a, 7, far), padded(y, b, 0, -far)
    plain = FUNCTIONS[name](x, y, a=a, b=b, p=2)
    more = FUNCTIONS[name](big_x, big_y, a=big_a, b=big_b, p=2)
    plan = more.plan.toarray()
    assert plan.shape == (16, 13)
    assert not plan[7].any()
    assert not plan[:, 0].any()
    kept = np.delete(np.delete(plan, 7, 0), 0, 1)
    np.testing.assert_array_equal(kept, plain.plan.toarray())
    f, g = more.potentials
    np.testing.assert_allclose(np.delete(f, 7), plain.potentials[0])
    np.testing.assert_allclose(np.delete(g, 0), plain.potentials[1])
    cost = ((big_x[:, None] - big_y) ** 2).sum(-1)
    assert (f[:, None] + g <= cost * (1 + 1e-9) + 1e-9).all()


def test_rows_and_columns_of_a_matrix_without_weight_leave() -> None:
    cost = [[0.0, 2.0, 9.0], [2.0, 0.0, 9.0], [1.0, 1.0, 1e30]]
    result = otdist.transport(cost, a=[0.5, 0.5, 0.0], b=[0.75, 0.25, 0.0])
    assert result.cost == 0.5
    assert result.converged
    assert result.plan.shape == (3, 3)
    f, g = result.potentials
    assert (f[:, None] + g <= np.array(cost) + 1e-12).all()


def test_entropic_potentials_extend_softly() -> None:
    x, y, a, b = problem(2)
    more, mass = padded(x, a, 3, 0.5)
    result = otdist.entropic_cost(more, y, a=mass, b=b, p=2, eps=0.5, tol=1e-9)
    f = otdist.soft_ctransform(more, y, result.potentials[1], b=b, p=2, eps=0.5)
    np.testing.assert_allclose(result.potentials[0], f, atol=1e-7)
    debiased = otdist.sinkhorn_divergence(more, y, a=mass, b=b, p=2, eps=0.5)
    assert debiased.potentials[0].shape == (16,)
    assert np.isfinite(debiased.potentials[0]).all()


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("p", [1, 2])
def test_a_weight_of_zero_has_its_potential_as_derivative(d: int, p: int) -> None:
    x, y = (torch.tensor(RNG.normal(size=(k, d)), requires_grad=True) for k in (6, 5))
    a = torch.tensor([0.21, 0.32, 0.0, 0.1, 0.37, 0.0], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([0.5, 0.17, 0.2, 0.13, 0.0], dtype=torch.float64, requires_grad=True)
    result = otdist.wasserstein(x, y, a=a, b=b, p=p)
    grad_x, grad_y, grad_a, grad_b = torch.autograd.grad(result.cost, (x, y, a, b))
    f, g = (v.detach() for v in result.potentials)
    torch.testing.assert_close(grad_a, f - a.detach() @ f)
    torch.testing.assert_close(grad_b, g - b.detach() @ g)
    assert not grad_x[[2, 5]].any()
    assert not grad_y[4].any()
    again = otdist.wasserstein(x, y, a=a, b=b, p=p)
    (grad,) = torch.autograd.grad(again.distance, a)
    torch.testing.assert_close(grad * p * result.distance.detach() ** (p - 1), grad_a)


def test_an_earlier_result_with_absent_points_is_a_start() -> None:
    x, y, a, b = problem(3)
    x, a = padded(x, a, 7, 1e8)
    first = otdist.wasserstein(x, y, a=a, b=b, p=2)
    again = otdist.wasserstein(x, y, a=a, b=b, p=2, start=first)
    assert again.distance == pytest.approx(first.distance)
    with pytest.raises(ValueError, match="same sizes"):
        otdist.wasserstein(x[:-1], y, b=b, start=first)


def test_results_with_absent_points_pickle() -> None:
    weights = torch.tensor([0.5, 0.5, 0.0], requires_grad=True)
    points = torch.tensor([[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]])
    result = otdist.wasserstein(points, torch.ones(1, 2), a=weights)
    copy = pickle.loads(pickle.dumps(result))
    assert copy.plan.shape == (3, 1)
    assert torch.equal(copy.potentials[0], result.potentials[0])


def test_absent_points_leave_the_frame_even_where_they_stay() -> None:
    a = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1e9, 0.0]], dtype=torch.float64)
    kept, left = pair(x, x[:2], a), pair(x, x[:2], a, extends=True)
    assert (len(kept.x), len(left.x)) == (3, 2)
    assert kept.scale == left.scale == measure.pair(x[:2], x[:2]).scale


def test_what_is_not_finite_is_named_by_the_callers_row() -> None:
    with pytest.raises(ValueError, match="x must be finite: found 1 NaN, first at row 2"):
        pair([[0.0], [1.0], [float("nan")]], [[0.0]], [0.5, 0.5, 0.0])


@pytest.mark.parametrize("far", [0.3, 1e3, 1e5, 1e30])
@pytest.mark.parametrize(
    "loss",
    [
        otdist.losses.SinkhornLoss(eps=0.01),
        otdist.losses.ExactLoss(),
        otdist.losses.SlicedWassersteinLoss(),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_padding_changes_no_loss(loss: torch.nn.Module, far: float) -> None:
    x = torch.tensor([[0.0, 0.0], [0.5, 0.0], [far, far]], requires_grad=True)
    y = torch.tensor([[0.2, 0.0], [0.9, 0.0]])
    plain = loss(x[:2].detach(), y)
    value = loss(x, y, torch.tensor([0.5, 0.5, 0.0]))
    assert value.item() == pytest.approx(float(plain), rel=1e-5)
    (slope,) = torch.autograd.grad(value, x)
    assert not slope[2].any()


def test_points_move_onto_the_largest_weight_entry_by_entry() -> None:
    x = torch.arange(12.0).view(2, 3, 2)
    moved = onto_present(x, torch.tensor([[0.2, 0.8, 0.0], [0.0, 0.5, 0.5]]))
    assert moved[0].tolist() == [[0, 1], [2, 3], [2, 3]]
    assert moved[1].tolist() == [[8, 9], [8, 9], [10, 11]]
    assert onto_present(x, None) is x


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_that_were_normalised_are_accepted(dtype: torch.dtype) -> None:
    a = torch.rand(1000, generator=torch.Generator().manual_seed(0)).to(dtype)
    a = a / a.sum()
    weights = pair(torch.rand(1000, 2).to(dtype), torch.rand(5, 2).to(dtype), a).x.weights
    assert float(weights.sum()) == pytest.approx(1, abs=1e-15)
    otdist.losses.SlicedWassersteinLoss()(
        torch.rand(1000, 2, dtype=dtype), torch.rand(5, 2, dtype=dtype), a
    )
    with pytest.raises(ValueError, match="must sum to 1"):
        pair([[0.0], [1.0]], [[0.0]], torch.tensor([0.5, 0.54], dtype=dtype))
