"""Modes of PyTorch: autocast changes nothing, derivatives of other kinds are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

import otdist
from otdist import losses

Function = Callable[[Tensor, Tensor], Tensor]

FUNCTIONS: dict[str, Function] = {
    "wasserstein": lambda x, y: otdist.wasserstein(x, y, p=2).cost,
    "on the line": lambda x, y: otdist.wasserstein(x[:, 0], y[:, 0]).cost,
    "transport": lambda x, y: otdist.transport((x[:, None] - y).norm(dim=2)).cost,
    "sliced": lambda x, y: otdist.sliced_wasserstein(x, y).cost,
    "max-sliced": lambda x, y: otdist.max_sliced_wasserstein(x, y).cost,
    "divergence": lambda x, y: otdist.sinkhorn_divergence(x, y, p=2).cost,
    "entropic cost": lambda x, y: otdist.entropic_cost(x, y).cost,
    "gaussian": lambda x, y: otdist.gaussian_wasserstein(x, y),
    "energy": lambda x, y: otdist.energy_distance(x, y),
    "mmd": lambda x, y: otdist.mmd(x, y),
    "ExactLoss": lambda x, y: losses.ExactLoss()(x, y),
    "SinkhornLoss": lambda x, y: losses.SinkhornLoss()(x, y),
    "a batch": lambda x, y: losses.SinkhornLoss()(torch.stack([x, x]), torch.stack([y, y])),
    "SlicedWassersteinLoss": lambda x, y: losses.SlicedWassersteinLoss()(x, y),
}


def samples(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return (
        torch.randn(30, 20, generator=draw, dtype=dtype),
        torch.randn(20, 20, generator=draw, dtype=dtype) + 1,
    )


def value_and_gradient(function: Function, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    x = x.clone().requires_grad_()
    value = function(x, y)
    return value.detach(), torch.autograd.grad(value, x)[0]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_autocast_changes_neither_value_nor_gradient(name: str) -> None:
    x, y = samples(torch.float32)
    expected = value_and_gradient(FUNCTIONS[name], x, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = value_and_gradient(FUNCTIONS[name], x, y)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


def test_a_plan_asked_for_under_autocast_is_the_plan() -> None:
    x, y = samples(torch.float32)
    result = otdist.wasserstein(x, y, p=2, solver=otdist.Sinkhorn())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plan = result.plan.to_dense()
    torch.testing.assert_close(plan.sum(1), torch.full((30,), 1 / 30).double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_forward_mode_is_refused(name: str) -> None:
    x, y = samples(torch.float64)
    with forward_ad.dual_level(), pytest.raises(TypeError, match="forward-mode derivatives"):
        FUNCTIONS[name](forward_ad.make_dual(x, torch.ones_like(x)), y)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_transforms_are_refused(name: str) -> None:
    x, y = samples(torch.float64)
    function = FUNCTIONS[name]
    with pytest.raises(TypeError, match="must be a plain tensor"):
        torch.func.jvp(lambda x: function(x, y), (x,), (torch.ones_like(x),))
    with pytest.raises(TypeError, match="must be a plain tensor"):
        torch.func.grad(lambda x: function(x, y))(x)


def test_a_tangent_in_the_weights_is_refused_by_its_name() -> None:
    x, y = samples(torch.float64)
    a = torch.full((30,), 1 / 30, dtype=torch.float64)
    with forward_ad.dual_level(), pytest.raises(TypeError, match=r"^a must be a plain tensor"):
        otdist.wasserstein(x, y, a=forward_ad.make_dual(a, torch.zeros_like(a)))
    with forward_ad.dual_level(), pytest.raises(TypeError, match=r"^a must be a plain tensor"):
        losses.ExactLoss()(x, y, forward_ad.make_dual(a, torch.zeros_like(a)))
