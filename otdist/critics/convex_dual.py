r"""ConvexDual: W_2 and its transport map from convex potentials, with a limit for distributions.

.. math::  W_2^2 = E\|x\|^2 + E\|y\|^2 - 2 \min_ψ \big( Eψ(x) + Eψ^*(y) \big)

over convex ψ (Brenier 1991); the minimiser's gradient is the optimal map. Any ψ gives a lower
bound: f = ‖x‖² − 2ψ(x) and g = ‖y‖² − 2ψ*(y) have f + g ≤ ‖x − y‖², the inequality of Fenchel and
Young. Conjugates are computed by L-BFGS; because ψ is strongly convex, what that leaves is
bounded and charged, so that the bound holds however far the iteration came.

Training starts from the better of two potentials, by dual value on validation points: that of the
map between normal distributions, and one whose gradient was fitted to entropic maps (`guide`). By
Danskin's theorem the slope of ψ*(y) in the parameters is that of −ψ at the maximiser: training
needs no derivative of the maximisation.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from otdist.core import checks
from otdist.core.certificate import UNIT
from otdist.core.measure import SamplePair
from otdist.critics.conjugate import Conjugate
from otdist.critics.convex import ALPHA, ConvexPotential, normal_map
from otdist.critics.convex_result import ConvexDualResult
from otdist.critics.fitting import Fit
from otdist.critics.guide import guided
from otdist.critics.heldout import Learned, Scores
from otdist.critics.samples import Frame, Supply
from otdist.critics.training import SOUND, Clock, Training

WATCHED = 512
"""Validation points of either sample on which conjugates are computed while training."""

GUIDING, HEAT = 0.2, 0.05
"""Share of the seconds in which a potential follows entropic maps. Where that is not the better one
at once, both it and the one of the normal map train for the second share of the steps and seconds:
in 64 dimensions it may be behind by noise, and is far ahead after five steps. Without seconds it
follows them for as many steps as training takes, which costs little, as no conjugates are needed:
1.0 of 21 s in 8 dimensions, 1.2 of 66 s in 32. A fifth of these steps left 2.0% of the variance
instead of 1.2% in 8 dimensions, and took 26 s, as conjugates were slower to find."""

TRAINING, FINAL = (1e-2, 30), (1e-7, 500)
"""Residual and iterations of conjugates, in the frame; an error of 1e-7 costs 1e-12 of W_2²."""

LEARNING_RATE = 0.03


@dataclass(frozen=True)
class ConvexDual(Fit[ConvexDualResult]):
    """W_2 by an input-convex network: an estimate between distributions, its limit, and the map.

    Attributes:
        widths: Of the network's hidden layers.
        steps: Gradient steps at most.
        batch_size: Points of either sample per step.
        splits: Shares of training, validation and test points.
        folds: K ≥ 2: fit K potentials, each tested on a K-th of the points that it has not seen, so
            that the limit comes from all points, in K times the time; None: one split.
        learning_rate: Of Adam; None: 0.03.
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
    learning_rate: float | None = LEARNING_RATE
    patience: int = 8

    _P: ClassVar[float] = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.settle(self, widths=checks.wholes("widths", self.widths))

    def _learn(
        self, supply: Supply, seed: int, clock: Clock, say: Callable[[str], None]
    ) -> Learned:
        frame = supply.frame
        d, device = len(frame.centre), frame.centre.device
        hessian, shift = normal_map(*frame.sides(supply.corner(8192)))
        potential = ConvexPotential(d, self.widths, hessian=hessian, shift=shift, seed=seed)
        potential = potential.to(device).float()
        potential = self._begun(potential, supply, seed, clock, say)
        history = self._conjugation(self.steps, clock.left()).run(potential, supply, say)
        potential = potential.double().eval()
        return Learned(potential, supply, history, history, partial(_scores, potential, frame))

    def _conjugation(self, steps: int, seconds: float, checks: int = 20) -> Conjugation:
        rate = self.learning_rate or LEARNING_RATE
        return Conjugation(
            steps, self.batch_size, rate, self.patience, "certified", seconds, checks
        )

    def _begun(
        self,
        potential: ConvexPotential,
        supply: Supply,
        seed: int,
        clock: Clock,
        say: Callable[[str], None],
    ) -> ConvexPotential:
        """The potential of the normal map, or one led on by entropic maps: by their dual values."""
        led = copy.deepcopy(potential)
        guided(
            led, supply, steps=self.steps, batch_size=self.batch_size,
            learning_rate=self.learning_rate or LEARNING_RATE, seconds=GUIDING * clock.seconds,
            seed=seed, say=lambda stage: say(f"entropic maps, {stage}"),
        )  # fmt: skip
        before, after = (
            self._conjugation(1, math.inf).score(one, supply) for one in (potential, led)
        )
        if after > before:
            return led
        steps, seconds = max(1, round(HEAT * self.steps)), HEAT * clock.seconds
        before, after = (
            self._conjugation(steps, seconds, 1).run(one, supply.again(), say)[-1]["validation"]
            for one in (potential, led)
        )
        return led if after > before else potential

    def _result(self, learned: Learned, fields: dict[str, Any]) -> ConvexDualResult:
        assert isinstance(learned.critic, ConvexPotential)
        return ConvexDualResult(critic=learned.critic, **fields)


def _scores(potential: ConvexPotential, frame: Frame, pair: SamplePair, most: int | None) -> Scores:
    """Scores f and −g in squared units of the frame, what conjugates and rounding leave charged."""
    f, g, charge = dual_potentials(potential, *frame.sides(pair, most), *FINAL)
    return Scores(f, -g, 0.0, charge <= SOUND)


@dataclass(frozen=True)
class Conjugation(Training):
    """Descends Eψ(x) + Eψ*(y), by Danskin's theorem; keeps the best dual value.

    Attributes:
        watched: Maximisers of the last validation, where the next begins; none before the first.
    """

    watched: list[Tensor] = field(default_factory=list)

    def loss(self, critic: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Eψ(x) − Eψ(x*(y)), whose slope is that of the dual."""
        assert isinstance(critic, ConvexPotential)
        return critic(x).mean() - critic(critic.conjugates(y, *TRAINING).points).mean()

    def score(self, critic: nn.Module, supply: Supply) -> float:
        """The dual value of some validation points, in squared units of the frame."""
        assert isinstance(critic, ConvexPotential)
        pair = supply.validation
        x, y = (points.float() for points in supply.frame.sides(pair, WATCHED))
        found = critic.conjugates(y, *TRAINING, *self.watched)
        self.watched[:] = [found.points] if bool(found.points.isfinite().all()) else []
        f, g, charge = _potentials(critic, x, y, found)
        a, b = (side.weights[:WATCHED] for side in (pair.x, pair.y))
        return float(a @ f / a.sum() + b @ g / b.sum()) if charge <= SOUND else -math.inf


def dual_potentials(
    potential: ConvexPotential, x: Tensor, y: Tensor, tolerance: float, iterations: int
) -> tuple[Tensor, Tensor, float]:
    """Potentials with f + g ≤ ‖x − y‖², what conjugates and rounding leave charged.

    Args:
        potential: ψ.
        x: Shape (n, d).
        y: Shape (m, d).
        tolerance: Of conjugates.
        iterations: Of conjugates.

    Returns:
        f (n,) and g (m,), float64, and the largest charge for rounding.
    """
    return _potentials(potential, x, y, potential.conjugates(y, tolerance, iterations))


@torch.no_grad()
def _potentials(
    potential: ConvexPotential, x: Tensor, y: Tensor, found: Conjugate
) -> tuple[Tensor, Tensor, float]:
    """The same from conjugates of y."""
    products = UNIT * (y.shape[1] + 2) * (found.points.abs() * y.abs()).sum(1)
    at_x, at_y = potential.rounding(x), potential.rounding(found.points) + products
    f = x.square().sum(1) - 2 * (potential(x) + at_x)
    g = y.square().sum(1) - 2 * (found.at_most(ALPHA) + at_y)
    return f.double(), g.double(), 2 * float(at_x.max() + at_y.max())
