"""The envelope theorem once: first order right, second order refused."""

from __future__ import annotations

import pytest
import torch

from otdist.core.gradient import attach, plan_gradients, root
from otdist.core.result import Arcs


def test_attach_keeps_the_value_and_sets_the_gradient() -> None:
    x = torch.ones(3, requires_grad=True)
    y = torch.ones(2)
    value = attach(torch.tensor(5.0, dtype=torch.float64), [x, y],
                   lambda: [torch.arange(3.0).double(), torch.ones(2)])  # fmt: skip
    (2 * value).backward()
    assert value.item() == 5
    assert x.grad is not None
    assert x.grad.tolist() == [0, 2, 4]
    assert x.grad.dtype == torch.float32


def test_attach_without_inputs_that_need_it_has_no_graph() -> None:
    assert not attach(torch.tensor(1.0), [torch.ones(1)], lambda: [torch.ones(1)]).requires_grad


def test_second_differentiation_raises() -> None:
    x = torch.ones(1, requires_grad=True)
    value = attach(torch.tensor(1.0), [x], lambda: [torch.ones(1)])
    (slope,) = torch.autograd.grad(value, x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiated once only"):
        torch.autograd.grad(slope.sum() + x.square().sum(), x)


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 7.0])
def test_root_has_gradient_zero_at_zero(p: float) -> None:
    cost = torch.tensor([0.0, 2.0], dtype=torch.float64, requires_grad=True)
    root(cost, p).sum().backward()
    assert cost.grad is not None
    assert torch.isfinite(cost.grad).all()
    assert cost.grad[1] == pytest.approx(2 ** (1 / p - 1) / p)
    assert p == 1 or cost.grad[0] == 0


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
def test_plan_gradients_equal_autograd(p: float) -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    y = torch.randn(3, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    mass = torch.tensor([0.25, 0.25, 0.25, 0.1, 0.15], dtype=torch.float64)
    arcs = Arcs(torch.tensor([0, 1, 2, 3, 3]), torch.tensor([0, 1, 2, 0, 1]), mass, (4, 3))
    ((x[arcs.rows] - y[arcs.cols]).norm(dim=1) ** p @ arcs.mass).backward()
    force_x, force_y = plan_gradients(x.detach(), y.detach(), p, arcs)
    torch.testing.assert_close(force_x, x.grad)
    torch.testing.assert_close(force_y, y.grad)


def test_coinciding_points_pull_nowhere() -> None:
    x = torch.zeros(1, 2, dtype=torch.float64)
    arcs = Arcs(torch.tensor([0]), torch.tensor([0]), torch.ones(1, dtype=torch.float64), (1, 1))
    for p in (1.0, 1.5, 2.0):
        assert plan_gradients(x, x, p, arcs)[0].tolist() == [[0, 0]]
