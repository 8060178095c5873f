"""Potentials follow entropic maps, keep their quadratic part meanwhile, and win where better."""

import numpy as np
import pytest
import torch

from otdist import ConvexDual
from otdist.critics.convex import ALPHA, ConvexPotential, normal_map
from otdist.critics.guide import SHARE, guided
from otdist.critics.parts import Parts
from otdist.critics.samples import Supply
from otdist.critics.streams import supplies_of
from otdist.problems import convex_gradient


def supply_of(x: np.ndarray, y: np.ndarray, a=None, b=None) -> Supply:
    (supply,) = supplies_of((x, y), (a, b), Parts((0.6, 0.2, 0.2)), 0)
    return supply


def potential_of(supply: Supply) -> ConvexPotential:
    hessian, shift = normal_map(*supply.frame.sides(supply.corner(8192)))
    return ConvexPotential(len(shift), (32, 32), hessian=hessian, shift=shift).float()


def follow(potential: ConvexPotential, supply: Supply, steps: int, seed: int = 0) -> None:
    guided(
        potential, supply, steps=steps, batch_size=128, learning_rate=0.03,
        seconds=float("inf"), seed=seed, say=lambda stage: None,
    )  # fmt: skip


def test_slopes_come_nearer_to_the_optimal_map_and_the_quadratic_part_stays():
    known = convex_gradient(3000, 6)
    assert known.pairing is not None
    supply = supply_of(known.x, known.y)
    x, images = (
        supply.frame.enter(torch.from_numpy(points)) for points in (known.x, known.y[known.pairing])
    )
    potential = potential_of(supply)

    def error() -> float:
        return float((potential.gradient(x.float()) - images).square().sum(1).mean())

    before, hessian = error(), potential.hessian()
    follow(potential, supply, 200)
    eye = ALPHA * torch.eye(6)
    assert error() < 0.6 * before
    assert torch.allclose(potential.hessian() - eye, SHARE * (hessian - eye), atol=1e-5)
    assert all(parameter.requires_grad for parameter in potential.parameters())


def test_the_same_seed_follows_the_same_way():
    rng = np.random.default_rng(0)
    supply = supply_of(rng.normal(size=(60, 2)), rng.normal(size=(50, 2)) ** 3)
    first, second, other = (potential_of(supply) for _ in range(3))
    for potential, seed in ((first, 1), (second, 1), (other, 2)):
        follow(potential, supply, 5, seed)
    assert torch.equal(first.seen[0].weight, second.seen[0].weight)
    assert not torch.equal(first.seen[0].weight, other.seen[0].weight)


def test_points_of_small_weight_hardly_count():
    """Two clusters of x: the light one is sent far away, and all slopes are those of the heavy."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1)) * 0.1
    a = np.where(np.arange(200) < 100, 1.0, 1e-12)
    supply = supply_of(x, np.concatenate([x[:100], x[100:] + 50]), a / a.sum(), a / a.sum())
    potential = potential_of(supply)
    follow(potential, supply, 50)
    moved = supply.frame.leave(potential.gradient(supply.frame.enter(torch.from_numpy(x)).float()))
    assert float(moved.abs().max()) < 10  # 50, if all weights were equal


def test_normal_maps_are_kept_where_entropic_maps_are_worse():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 8)), rng.normal(size=(1000, 8)) @ np.diag(np.arange(1, 9.0))
    result = ConvexDual(steps=20).fit(x, y)
    assert result.estimate == pytest.approx(np.sqrt(140), rel=0.05)  # Σ (k − 1)², k ≤ 8


def test_points_that_coincide_have_a_map():
    result = ConvexDual((8,), steps=5).fit(np.zeros((20, 2)), np.ones((20, 2)))
    assert result.estimate == pytest.approx(2**0.5, rel=0.1)
    result = ConvexDual((8,), steps=5).fit(np.zeros((20, 2)), np.zeros((20, 2)))
    assert result.estimate == pytest.approx(0, abs=1e-3)
