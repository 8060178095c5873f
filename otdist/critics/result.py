"""DualResult: what a trained critic says about W_1, and which of it is proved."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from otdist.core import checks, measure, task
from otdist.core.measure import SamplePair
from otdist.critics.critics import OWN, Unframed, rebuilt
from otdist.critics.fitted import Fitted
from otdist.critics.samples import original
from otdist.critics.training import scores
from otdist.exact.exact import Exact


@dataclass(frozen=True)
class Comparison:
    """A critic next to exact transport, on the same held-out points.

    Attributes:
        estimate: The critic's gap on them; not above `exact` for a certified critic.
        exact: Their exact W_1.
        n: Points of the first sample.
        m: Points of the second sample.

    >>> Comparison(estimate=1.5, exact=2.0, n=100, m=100).ratio
    0.75
    """

    estimate: float
    exact: float
    n: int
    m: int

    @property
    def ratio(self) -> float:
        """The estimate over the exact distance; 1 where both are 0."""
        return self.estimate / self.exact if self.exact > 0 else 1.0


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class DualResult(Fitted):
    """Result of `NeuralDual.fit`, with the attributes of `Fitted` and its own.

    Attributes:
        estimate: Mean score of held-out x minus that of held-out y. For a certified critic an
            unbiased estimate of a lower bound of W_1 between the distributions.
        lower: One-sided 95% confidence limit (Welch's t, corrected for skewness) of that lower
            bound. None without a certificate, and for weighted samples.
        certified: Whether the critic is 1-Lipschitz by construction.
        lipschitz_bound: Rigorous bound of its Lipschitz constant; inf where none is known.
        name: Which critic it is; of several, the one of largest validation gap.
        scores: Validation gap of each critic that was trained.

    >>> import numpy as np, otdist
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(500, 2)), rng.normal(size=(500, 2)) + [3, 0]
    >>> result = otdist.NeuralDual(critic="peaks", steps=100).fit(x, y)
    >>> result.lower < 3, otdist.wasserstein(x, y).distance in result.bracket
    (True, True)
    """

    certified: bool
    lipschitz_bound: float
    name: str
    scores: dict[str, float]
    _unit: float = 1.0  # what scores are divided by: max(1, lipschitz_bound)

    _P = 1.0

    def compare_exact(self, max_n: int = 2000) -> Comparison:
        """The critic's gap and exact W_1 on at most `max_n` held-out points of either sample.

        Exact transport between finite samples is biased upwards, a critic's gap downwards: W_1
        between the distributions lies between their expectations.

        Args:
            max_n: Points of either sample; the cost grows with its square.
        """
        max_n = checks.whole("max_n", max_n)
        held = self.held_out
        weights = [side.weights[:max_n] for side in (held.x, held.y)]
        points = [original(side, held, max_n) for side in (held.x, held.y)]
        pair = measure.pair(*points, *(w / w.sum() for w in weights))
        up, down = scores(self.critic, pair, self.frame)
        exact = Exact().solve(task.of_pair(pair, 1.0))
        gap = float(pair.x.weights @ up - pair.y.weights @ down) / self._unit
        return Comparison(gap, float(exact.distance), len(pair.x), len(pair.y))

    def potential(self, points: Any) -> Any:
        """The critic at any points: high on x, low on y, 1-Lipschitz if certified.

        Args:
            points: Shape (n, d), or (n,) on the line, numpy or torch.

        Returns:
            Shape (n,), in the units of x, of the kind of `points`; without a graph.
        """
        kind, z, _ = self.frame.caller(points)
        with torch.no_grad():
            value = self.critic.eval()(z).reshape(len(z))
        return kind.array(value * (self.frame.scale / self._unit))

    def gradient(self, points: Any) -> Any:
        """Gradient of `potential`: along transport rays, away from where the mass has to go.

        Args:
            points: Shape (n, d), or (n,) on the line, numpy or torch.

        Returns:
            The shape and kind of `points`; rows of norm at most one if certified.
        """
        kind, z, flat = self.frame.caller(points)
        with torch.enable_grad():
            z.requires_grad_()
            (slope,) = torch.autograd.grad(self.critic.eval()(z).sum(), z)
        slope = slope / self._unit
        return kind.array(slope[:, 0] if flat else slope)

    def _dual(self, pair: SamplePair) -> Tensor:
        return scores(self.critic, pair, self.frame)[0] / self.frame.scale

    def _name(self) -> str:
        return f"critic: {self.name}{'' if self.certified else ', not certified'}"

    @classmethod
    def _module(cls, content: dict[str, Any], critic: nn.Module | None) -> nn.Module:
        name = content["name"]
        if (name == OWN) != (critic is not None):
            raise ValueError(
                "the file holds a critic of your own: pass a module of its architecture as critic="
                if critic is None
                else f"the file holds the built-in critic {name!r}: leave out critic="
            )
        if critic is not None:
            return Unframed(copy.deepcopy(critic), content["frame"])
        return rebuilt(name, content["state"])
