r"""Guide: a start for convex potentials, whose gradient follows the entropic maps of some points.

The entropic map T of a few points, extended to all, is far nearer to the optimal one than the map
between normal distributions where the optimal map is not affine. It proves nothing: its images lie
within the hull of few points, beyond which the conjugate of its potential is of no use. A convex
potential learns from it by regression,

.. math::  \min_ψ E\|∇ψ(x) - T(x)\|^2 + E\|∇ψ(S(y)) - y\|^2,

S being the entropic map from y to x: without the second term the slopes of ψ do not reach the
points y that are averaged away in T. No conjugates are needed. The quadratic part stays as it is
meanwhile, at `SHARE` of that of the normal map: left free it falls to nothing, because the network
explains the same points, and held-out conjugates run away.

Reference: Pooladian and Niles-Weed (2021), Entropic estimation of optimal transport maps.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from otdist.core.result import ConvergenceWarning
from otdist.critics.convex import ConvexPotential
from otdist.critics.samples import Supply
from otdist.critics.training import Training
from otdist.distances import entropic_cost
from otdist.transport_map import barycentric_map

GUIDES, STRENGTH = 2000, 0.02
"""Points of either sample whose entropic maps are followed, and eps as a share of their mean cost:
those of `python -m benchmarks neural maps`."""

SHARE = 0.5
"""Of the normal map's Hessian that the quadratic part keeps. Chosen with a prototype on one pair of
`python -m benchmarks neural squared`, in 32 dimensions for eight seconds: the map left 11% of the
variance, 16% where all was kept, and 13% where the quadratic part was free."""


def guided(
    potential: ConvexPotential,
    supply: Supply,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seconds: float,
    seed: int,
    say: Callable[[str], None],
) -> None:
    """Lead the gradient of a potential along the entropic maps, in place.

    Args:
        potential: ψ, float32, whose quadratic part is the normal map's.
        supply: Of the points.
        steps: Gradient steps at most.
        batch_size: Points per step.
        learning_rate: Of the first step.
        seconds: CPU time of this process at most.
        seed: Of the batches.
        say: Told how far it is.
    """
    pairs = _Followed(supply, seed)
    with torch.no_grad():
        potential.root.mul_(SHARE**0.5)
    potential.root.requires_grad_(False)
    Regression(
        steps, batch_size, learning_rate, 1, "certified", seconds, checks=1
    ).run(potential, pairs, say)  # fmt: skip
    potential.root.requires_grad_(True)


@dataclass(frozen=True)
class Regression(Training):
    """Descends E‖∇ψ(x) − T(x)‖² over pairs (x, T(x)), and keeps the last state."""

    def loss(self, critic: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """The mean squared error of a batch."""
        at = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(critic(at).sum(), at, create_graph=True)
        return (slope - y).square().sum(1).mean()

    def score(self, critic: nn.Module, supply: Supply) -> float:
        """Nothing: what the regression reaches is judged by the dual value."""
        return 0.0


class _Followed(Supply):
    """Pairs (x, T(x)) and (S(y), y) of some training points, half of a batch each, by weight."""

    def __init__(self, supply: Supply, seed: int) -> None:
        pair = supply.corner(GUIDES)
        self.frame, self.validation, self.test = supply.frame, supply.validation, supply.test
        x, y = supply.frame.sides(pair)
        self._weights = a, b = pair.x.weights.double(), pair.y.weights.double()
        cost = a @ (x - b @ y).square().sum(1) + b @ (y - b @ y).square().sum(1)
        eps = STRENGTH * max(float(cost), torch.finfo(torch.float64).tiny)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            forth = entropic_cost(x, y, a=a, b=b, p=2, eps=eps)
        back = replace(forth, potentials=forth.potentials[::-1])
        there, here = barycentric_map(forth, y, x, b=b), barycentric_map(back, x, y, b=a)
        self._pairs = [(x.float(), there.float()), (here.float(), y.float())]
        self._generator = torch.Generator().manual_seed(seed)

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Points and where they are sent."""
        drawn = [
            torch.multinomial(weights.cpu(), size // 2 + 1, True, generator=self._generator)
            for weights in self._weights
        ]
        points, images = (
            torch.cat(
                [
                    pair[k][index.to(pair[k].device)]
                    for pair, index in zip(self._pairs, drawn, strict=True)
                ]
            )
            for k in (0, 1)
        )
        return points, images
