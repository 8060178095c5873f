"""Soft maxima of funnels: their slopes, their limit, and when critics use them."""

from itertools import pairwise

import pytest
import torch

from otdist.critics import Funnels
from otdist.critics.parts import Parts
from otdist.critics.softened import soft_highest
from otdist.critics.streams import supplies_of
from otdist.critics.training import TAIL, Training


def points(n: int, d: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def plain(x, centres, heights, temperature):
    away = (x[:, None] - centres).norm(dim=2)
    return temperature * ((heights - away) / temperature).logsumexp(1)


def test_values_and_slopes_are_those_of_the_logarithm_of_a_sum():
    given = [points(7, 3, 0), points(5, 3, 1), points(5, 1, 2)[:, 0]]
    found, known = ([z.clone().requires_grad_() for z in given] for _ in range(2))
    for function, leaves in ((soft_highest, found), (plain, known)):
        (function(*leaves, 0.3) * torch.arange(7)).sum().backward()
    assert torch.allclose(soft_highest(*given, 0.3), plain(*given, 0.3), rtol=0, atol=1e-12)
    for one, other in zip(found, known, strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=0, atol=1e-12)


def test_the_slope_of_a_funnel_falls_to_zero_at_its_centre():
    centres = torch.zeros(1, 2, requires_grad=True)
    soft_highest(torch.tensor([[1e-3, 0.0]]), centres, torch.zeros(1), 1.0).sum().backward()
    assert 0 < float(centres.grad[0, 0]) < 0.1


@pytest.mark.parametrize("peaks", [True, False])
def test_funnels_are_soft_in_training_only_and_hard_as_it_cools(peaks):
    critic = Funnels(points(5, 3, 1), points(5, 1, 2)[:, 0], peaks=peaks)
    x, hard = points(40, 3, 0), critic(points(40, 3, 0)).detach()
    sign = 1 if peaks else -1
    for temperature in (0.5, 1e-3):
        critic.temperature = temperature
        off = sign * (critic.train()(x) - hard).detach()
        assert bool((off > -1e-12).all())
        assert float(off.max()) < temperature * torch.log(torch.tensor(5.0))
        assert torch.equal(critic.eval()(x), hard)
    assert float(off.max()) < 1e-3


def test_how_far_the_highest_funnel_leads():
    critic = Funnels(torch.tensor([[0.0], [4.0], [9.0]]))
    assert critic.lead(torch.tensor([[0.0], [1.0]])) == pytest.approx((4 + 2) / 2)
    valleys = Funnels(torch.tensor([[0.0], [4.0]]), torch.tensor([1.0, 0.0]), peaks=False)
    assert valleys.lead(torch.tensor([[0.0]])) == pytest.approx(3)
    assert Funnels(torch.zeros(1, 2)).lead(torch.ones(3, 2)) == 0


def test_temperatures_fall_and_the_last_steps_are_hard():
    x, y = points(200, 2, 0).numpy() + 3, points(200, 2, 1).numpy()
    (supply,) = supplies_of((x, y), (None, None), Parts((0.6, 0.2, 0.2)), 0)
    found = []

    class Noted(Training):
        def loss(self, critic, x, y):
            found.append(critic.temperature)
            return super().loss(critic, x, y)

    critic = Funnels(torch.randn(4, 2, generator=torch.Generator().manual_seed(0)))
    Noted(50, 16, 0.01, 50, "certified", temperature=0.3).run(critic, supply, lambda stage: None)
    hard = round(TAIL * 50)
    assert found[0] == 0.3
    assert all(now < before for before, now in pairwise(found[:-hard]))
    assert found[-hard:] == [0] * hard
    assert critic.temperature == 0
