"""DualResult: what a trained critic says about W_1, and which of it is proved."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import Any

import torch
from torch import nn

from otdist.core import checks, measure, task
from otdist.core.certificate import between, bracket, lower_from_potentials
from otdist.core.measure import Pair
from otdist.core.result import Bracket
from otdist.critics import stored
from otdist.critics.samples import Frame, entered, original
from otdist.critics.training import scores
from otdist.exact.exact import Exact
from otdist.sliced.sliced import Sliced

EXACT_PAIRS = 2000 * 2000
"""Up to so many pairs the upper bound is the exact distance; above, the best plan of a slice."""


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


@dataclass(frozen=True, repr=False, eq=False)
class DualResult:
    """Result of `NeuralDual.fit`.

    Attributes:
        estimate: Mean score of held-out x minus that of held-out y. For a certified critic an
            unbiased estimate of a lower bound of W_1 between the laws.
        lower: One-sided 95% confidence limit (Welch's t, corrected for skewness) of that lower
            bound: W_1 between the *laws* is not below it with that confidence. None without a
            certificate, and for weighted samples; `message` says why.
        certified: Whether the critic is 1-Lipschitz by construction.
        lipschitz_bound: Rigorous bound of its Lipschitz constant; inf where none is known.
        critic: The trained module, in float64, on points of `frame`.
        name: Which critic it is; of several, the one of largest validation gap.
        scores: Validation gap of each critic that was trained.
        history: One record per validation: critic, step, validation.
        message: What `lower` says, or why there is none.
        seconds: Wall-clock time of the fit.
        frame: Of the critic.
        samples: What was given; None for samplers.
        held_out: The points that `estimate` and `lower` come from.

    >>> import numpy as np, otdist
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(500, 2)), rng.normal(size=(500, 2)) + [3, 0]
    >>> result = otdist.NeuralDual(critic="peaks", steps=100).fit(x, y)
    >>> result.lower < 3, otdist.wasserstein(x, y).distance in result.bracket
    (True, True)
    """

    estimate: float
    lower: float | None
    certified: bool
    lipschitz_bound: float
    critic: nn.Module
    name: str
    scores: dict[str, float]
    history: list[dict[str, Any]]
    message: str
    seconds: float
    frame: Frame
    samples: Pair | None
    held_out: Pair
    _unit: float = field(default=1.0)  # what scores are divided by: max(1, lipschitz_bound)

    @cached_property
    def bracket(self) -> Bracket:
        """Certified bracket on W_1 between the *given* samples, computed when first asked for.

        The lower end is the c-transform of the critic's values, a proof for any critic; the upper
        end is the exact distance of small problems, the cost of a feasible plan of large ones.

        Raises:
            ValueError: the critic was fitted to samplers.

        Cost: O(n m d).
        """
        if self.samples is None:
            raise ValueError("there are no given samples: the critic was fitted to samplers")
        job = task.of_pair(self.samples, 1.0)
        f, _ = scores(self.critic, self.samples, self.frame)
        other = (Exact() if self.upper_is_exact else Sliced()).solve(job)
        lower = 0.0
        if bool(f.isfinite().any()):  # the critic of a fit that diverged proves nothing
            f = torch.where(f.isfinite(), f / self.samples.scale, -float("inf"))
            dual = lower_from_potentials(job.cost, job.a, job.b, f=f)
            lower = bracket(dual.cost, float("inf"), 1.0, job.scale).lower
        return between(lower, other.upper)

    @property
    def upper_is_exact(self) -> bool:
        """Whether the upper end of `bracket` is the exact distance of the given samples."""
        whole = self.samples
        return whole is not None and len(whole.x) * len(whole.y) <= EXACT_PAIRS

    def compare_exact(self, max_n: int = 2000) -> Comparison:
        """The critic's gap and exact W_1 on at most `max_n` held-out points of either sample.

        Exact transport between finite samples is biased upwards, a critic's gap downwards: W_1
        between the laws lies between their expectations.

        Args:
            max_n: Points of either sample; the cost grows with its square.
        """
        checks.whole("max_n", max_n)
        sides = []
        for side in (self.held_out.x, self.held_out.y):
            weights = side.weights[:max_n]
            sides.append((original(side, self.held_out)[:max_n], weights / weights.sum()))
        (x, a), (y, b) = sides
        pair = measure.pair(x, y, a, b)
        up, down = scores(self.critic, pair, self.frame)
        exact = Exact().solve(task.of_pair(pair, 1.0))
        gap = float(pair.x.weights @ up - pair.y.weights @ down) / self._unit
        return Comparison(gap, float(exact.distance), len(x), len(y))

    def potential(self, points: Any) -> Any:
        """The critic at any points: high on x, low on y, 1-Lipschitz if certified.

        Args:
            points: Shape (n, d), or (n,) on the line, numpy or torch.

        Returns:
            Shape (n,), in the units of x, of the kind of `points`; without a graph.
        """
        kind, z, _ = entered(points, self.frame)
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
        kind, z, flat = entered(points, self.frame)
        with torch.enable_grad():
            z.requires_grad_()
            (slope,) = torch.autograd.grad(self.critic.eval()(z).sum(), z)
        slope = slope / self._unit
        return kind.array(slope[:, 0] if flat else slope)

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one file, which holds tensors and plain values only."""
        torch.save(stored.pack(self), path)

    @classmethod
    def load(cls, path: str | PathLike[str], critic: nn.Module | None = None) -> DualResult:
        """Read what `save` wrote; nothing in the file is executed.

        Args:
            path: The file.
            critic: For a module of your own: one of the same architecture, not changed.

        Raises:
            ValueError: not such a file, or a `critic` that is missing or not called for.
        """
        return cls(**stored.unpack(path, critic))

    def __float__(self) -> float:
        return self.estimate

    def __repr__(self) -> str:
        proof = "not certified" if self.lower is None else f"≥ {self.lower:.5g} with 95%"
        if self.certified and self.lower is None:
            proof = "weighted, no limit"
        return f"W_1 ≈ {self.estimate:.5g}  {proof}  critic: {self.name}, {self.seconds:.2f} s"
