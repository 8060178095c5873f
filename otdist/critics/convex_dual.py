r"""ConvexDual: W_2 and its transport map from convex potentials, with a limit for the laws.

.. math::  W_2^2 = E\|x\|^2 + E\|y\|^2 - 2 \min_ψ \big( Eψ(x) + Eψ^*(y) \big)

over convex ψ (Brenier 1991); the minimiser's gradient is the optimal map. Any ψ gives a lower
bound: f = ‖x‖² − 2ψ(x) and g = ‖y‖² − 2ψ*(y) have f + g ≤ ‖x − y‖², the inequality of Fenchel and
Young. Conjugates are computed by L-BFGS; because ψ is strongly convex, what that leaves is
bounded and charged, so that the bound holds however far the iteration came.

By Danskin's theorem the slope of ψ*(y) in the parameters is that of −ψ at the maximiser: training
needs no derivative of the maximisation.
"""

from __future__ import annotations

import time
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from otdist.core import checks
from otdist.core.measure import Pair
from otdist.core.progress import progress
from otdist.core.threads import threads_for
from otdist.critics.conjugate import Conjugate, conjugate
from otdist.critics.convex import ALPHA, ConvexPotential, normal_map
from otdist.critics.convex_result import ConvexDualResult
from otdist.critics.limits import CONFIDENCE, limit
from otdist.critics.randomness import seeded
from otdist.critics.samples import Frame, Supply, original
from otdist.critics.streams import supply_of
from otdist.critics.training import Training, check_training, countdown

WATCHED = 2048
"""Validation points of either sample on which conjugates are computed while training."""

TRAINING, FINAL = (1e-3, 30), (1e-7, 500)
"""Residual and iterations of conjugates, in the frame; an error of 1e-7 costs 1e-12 of W_2²."""

LEARNING_RATE = 0.03


@dataclass(frozen=True)
class ConvexDual:
    """W_2 by an input-convex network: an estimate between laws, its limit, and the transport map.

    Attributes:
        widths: Of the network's hidden layers.
        steps: Gradient steps at most.
        batch_size: Points of either sample per step.
        splits: Shares of training, validation and test points.
        learning_rate: Of Adam.
        patience: Validations in a row (there are 20) without a new best after which to stop.
        seed: Of splits, batches and first weights; None draws a fresh one.
        seconds: CPU time of this process after which training ends; None: no limit.
        progress: Show a spinner on stderr, when that is a terminal.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(500, 2)), 2 * rng.normal(size=(500, 2)) + [3, 0]
    >>> result = ConvexDual(steps=20).fit(x, y)  # W_2² = 3² + 2 · (2 − 1)²
    >>> result.lower < 11**0.5, abs(result.estimate - 11**0.5) < 0.3
    (True, True)
    """

    widths: tuple[int, ...] = (64, 64)
    _: KW_ONLY
    steps: int = 400
    batch_size: int = 256
    splits: tuple[float, float, float] = (0.6, 0.2, 0.2)
    learning_rate: float = LEARNING_RATE
    patience: int = 8
    seed: int | None = 0
    seconds: float | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        check_training(self)
        checks.positive("learning_rate", self.learning_rate)
        checks.settle(self, widths=checks.wholes("widths", self.widths))

    @torch.inference_mode(False)
    @torch.enable_grad()
    def fit(self, x: Any, y: Any, a: Any = None, b: Any = None) -> ConvexDualResult:
        """Train on the first part of the samples, choose on the second, report on the third.

        Args:
            x: Points of the first sample, shape (n, d), or (n,) on the line; or a sampler, or an
                iterable, as for `NeuralDual.fit`.
            y: Points of the second sample, or a sampler or iterable if x is one.
            a: Weights of x, shape (n,), of sum one; uniform when None.
            b: Weights of y.

        Raises:
            ValueError: samples that `wasserstein` would refuse, with fewer than 5 points, or that
                require a gradient; weights for samplers.
            TypeError: a sampler beside a sample.

        Cost: about 5 to 80 ms a step on one core, nearly all of it conjugates.
        Reference: Makkuva, Taghvaei, Oh, Lee (2020), Optimal transport mapping via input convex
            neural networks; Amos (2023), On amortizing convex conjugates for optimal transport.
        """
        begin, clock = time.perf_counter(), countdown(self.seconds)
        seed = torch.Generator().seed() % 2**63 if self.seed is None else int(self.seed)
        supply = supply_of((x, y), (a, b), self.splits, seed)
        d = len(supply.frame.centre)
        with (
            seeded(seed, supply.frame.centre.device),
            threads_for(self.batch_size * d),
            progress("convex dual", quiet=not self.progress) as say,
        ):
            hessian, shift = normal_map(*_entered(supply.corner(8192), supply.frame))
            potential = ConvexPotential(d, self.widths, hessian=hessian, shift=shift, seed=seed)
            potential = potential.to(supply.frame.centre.device).float()
            training = Conjugation(
                self.steps, self.batch_size, self.learning_rate, self.patience, "certified",
                clock(), checks=20,
            )  # fmt: skip
            history = training.run(potential, supply, say)
            return _report(potential.double().eval(), supply, history, begin)


@dataclass(frozen=True)
class Conjugation(Training):
    """Descends Eψ(x) + Eψ*(y), by Danskin's theorem; keeps the best dual value."""

    def loss(self, critic: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Eψ(x) − Eψ(x*(y)), whose slope is that of the dual."""
        assert isinstance(critic, ConvexPotential)
        at = conjugates(critic, y, *TRAINING).points
        return critic(x).mean() - critic(at).mean()

    def score(self, critic: nn.Module, supply: Supply) -> float:
        """The dual value of some validation points, in squared units of the frame."""
        assert isinstance(critic, ConvexPotential)
        pair = supply.validation
        x, y = (points[:WATCHED] for points in _entered(pair, supply.frame))
        f, g = dual_potentials(critic, x.float(), y.float(), *TRAINING)
        a, b = (side.weights[:WATCHED] for side in (pair.x, pair.y))
        return float(a @ f / a.sum() + b @ g / b.sum())


def conjugates(
    potential: ConvexPotential, y: Tensor, tolerance: float, iterations: int
) -> Conjugate:
    """Conjugates of ψ at y (n, d), begun at the optimum of its quadratic part."""
    inverse = torch.linalg.inv(potential.hessian())
    start = (y - potential.shift.detach()) @ inverse
    return conjugate(potential, y, start, inverse, tolerance=tolerance, iterations=iterations)


@torch.no_grad()
def dual_potentials(
    potential: ConvexPotential, x: Tensor, y: Tensor, tolerance: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """F and g with f + g ≤ ‖x − y‖², the error of the conjugates charged; shapes (n,) and (m,)."""
    top = conjugates(potential, y, tolerance, iterations).at_most(ALPHA)
    f = x.square().sum(1) - 2 * potential(x)
    return f.double(), (y.square().sum(1) - 2 * top).double()


def _entered(pair: Pair, frame: Frame) -> tuple[Tensor, Tensor]:
    x, y = (frame.enter(original(side, pair)) for side in (pair.x, pair.y))
    return x, y


def _report(
    potential: ConvexPotential, supply: Supply, history: list[dict[str, Any]], begin: float
) -> ConvexDualResult:
    """Score the potential, once, on the test points."""
    frame, test = supply.frame, supply.test
    f, g = dual_potentials(potential, *_entered(test, frame), *FINAL)
    estimate, lower = float(test.x.weights @ f + test.y.weights @ g), None
    message = "no confidence limit: it needs independent points of equal weight"
    if test.x.uniform and test.y.uniform:
        lower = limit(f, -g)[1] ** 0.5 * frame.scale
        message = f"W_2 between the laws is at least {lower:.5g} with {CONFIDENCE:.0%} confidence"
    if supply.ended:
        message += "; a stream ended before training did"
    return ConvexDualResult(
        estimate=max(0.0, estimate) ** 0.5 * frame.scale, lower=lower, critic=potential,
        history=history, message=message, seconds=time.perf_counter() - begin,
        frame=frame, samples=supply.whole, held_out=test,
    )  # fmt: skip
