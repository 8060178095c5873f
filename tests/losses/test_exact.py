"""ExactLoss: the value of wasserstein, batched, with its gradient."""

from __future__ import annotations

import pytest
import torch

import otdist
from otdist.losses import ExactLoss

DRAW = torch.Generator().manual_seed(0)
X = torch.randn(2, 3, 6, 2, generator=DRAW, dtype=torch.float64)
Y = torch.randn(2, 3, 5, 2, generator=DRAW, dtype=torch.float64)


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_equals_wasserstein_entry_by_entry(p: float) -> None:
    costs = ExactLoss(p=p, reduction="none")(X, Y)
    assert costs.shape == (2, 3)
    expected = otdist.wasserstein(X[1, 2], Y[1, 2], p=p).cost
    torch.testing.assert_close(costs[1, 2], expected)
    torch.testing.assert_close(ExactLoss(p=p)(X, Y), costs.mean())
    torch.testing.assert_close(ExactLoss(p=p, reduction="sum")(X, Y), costs.sum())


def test_gradcheck_with_weights() -> None:
    x, y = X[0, :2].clone().requires_grad_(), Y[0, :2].clone().requires_grad_()
    logits = torch.randn(2, 6, generator=DRAW, dtype=torch.float64, requires_grad=True)
    loss = ExactLoss()
    assert torch.autograd.gradcheck(lambda x, y, u: loss(x, y, u.softmax(-1)), (x, y, logits))


def test_half_precision_is_raised_inside() -> None:
    value = ExactLoss()(X.half(), Y.half())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), ExactLoss()(X, Y), rtol=1e-2, atol=0)


def test_identical_samples_have_loss_and_gradient_zero() -> None:
    x = X.clone().requires_grad_()
    loss = ExactLoss(p=1)(x, X)
    loss.backward()
    assert loss.item() == 0
    assert x.grad is not None
    assert (x.grad == 0).all()


@pytest.mark.parametrize("options, text", [({"p": 0.5}, "p must"), ({"reduction": "max"}, "mean")])
def test_options_are_checked(options: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ExactLoss(**options)


def test_mass_and_reach_are_those_of_the_functions() -> None:
    a = torch.rand(2, 3, 6, generator=DRAW, dtype=torch.float64) + 0.2  # masses of any sum
    costs = ExactLoss(mass=0.6, reduction="none")(X, Y, a)
    expected = otdist.partial_wasserstein(X[1, 2], Y[1, 2], a=a[1, 2], mass=0.6, p=2).cost
    torch.testing.assert_close(costs[1, 2], expected)
    costs = ExactLoss(p=1, reach=0.8, reduction="none")(X, Y, a)
    expected = otdist.unbalanced_wasserstein(X[1, 2], Y[1, 2], a=a[1, 2], reach=0.8).cost
    torch.testing.assert_close(costs[1, 2], expected)


def test_gradcheck_with_masses() -> None:
    x, y = X[0, :2].clone().requires_grad_(), Y[0, :2].clone().requires_grad_()
    a = torch.rand(2, 6, generator=DRAW, dtype=torch.float64, requires_grad=True)
    for loss in (ExactLoss(mass=0.4), ExactLoss(reach=0.9)):
        assert torch.autograd.gradcheck(loss, (x, y, a + 0.1))


def test_what_may_stay_is_said_once() -> None:
    with pytest.raises(ValueError, match="pass mass or reach, not both"):
        ExactLoss(mass=0.5, reach=1.0)
    with pytest.raises(ValueError, match="mass must be at most 1"):
        ExactLoss(mass=1.5)(X, Y)
    assert "mass=0.5" in repr(ExactLoss(mass=0.5))
