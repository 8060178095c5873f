"""S_eps, the debiased Sinkhorn divergence.

At a given eps it is normal around the population's S_eps (Goldfeld, Kato, Rioux and Sadhu 2024,
Limit theorems for entropic optimal transport maps and Sinkhorn divergence), with the potentials as
influence function.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from otdist import metrics
from otdist.core import checks
from otdist.core.measure import SamplePair
from otdist.core.result import ConvergenceWarning
from otdist.core.task import ground
from otdist.discrepancy.base import Discrepancy, Figure, Limit, Options, even, only, pooled
from otdist.discrepancy.limit import NoIntervalError, of_influence, without_bias
from otdist.discrepancy.rows import some_of
from otdist.discrepancy.wasserstein import EXACT_ROWS, potentials
from otdist.entropic.answer import Rule, answer


@dataclass(frozen=True)
class SinkhornDivergence(Discrepancy):
    """The root of S_eps, or S_eps itself, which tests show."""

    p: float = 2
    eps: float | None = None
    tol: float = field(default=1e-3, metadata=only("distance"))
    max_iter: int = field(default=2000, metadata=only("distance"))
    share: float = field(default=0.01, metadata=only())
    power: bool = field(default=False, metadata=only())
    metric: Any = field(default="euclidean", metadata=only("distance", "test"))
    reach: float | None = field(default=None, metadata=only("distance"))

    weighted: ClassVar[bool] = True
    debias: ClassVar[bool] = True
    most_rows: ClassVar[int | None] = EXACT_ROWS
    no_limit: ClassVar[str] = ""
    title: ClassVar[str] = "root of S_eps, p = 2, eps 1% of the mean cost within all samples"
    in_tests: ClassVar[Options] = {"share": 0.05, "power": True}  # a plan need not be sharp there

    def __post_init__(self) -> None:
        p = checks.exponent(self.p)
        if self.debias and p > 2:
            raise ValueError(
                f"p must be at most 2 for a Sinkhorn divergence (between 1 and 2), which can be "
                f"negative above: got {p:g}; use wasserstein(..., solver=Sinkhorn(eps)) or "
                "entropic_cost"
            )
        metric, rule = metrics.named(self.metric), self._rule
        checks.settle(self, p=p, metric=metric, **asdict(rule))

    @property
    def _rule(self) -> Rule:
        return Rule(self.eps, self.tol, self.max_iter, self.reach)

    @property
    def negative_type(self) -> float:
        """The costs."""
        return self.p

    @property
    def quantity(self) -> str:
        """S_eps, or its root."""
        return "S_eps" if self.power else "root of S_eps"

    def fitted(self, pair: SamplePair) -> Self:
        """With eps a share of the mean cost between pooled rows."""
        if self.eps is not None:
            return self
        z = some_of(pooled(pair))
        rows = even(z)
        cost, unit = ground(replace(pair, x=rows, y=rows), self.p)
        mean = float(cost.mean(rows.weights, rows.weights))
        # Where all points coincide, every eps gives 0.
        return replace(self, eps=(self.share * mean or 1.0) * (pair.scale * unit) ** self.p)

    def answer(self, pair: SamplePair, seed: int | None = 0) -> Any:
        """The result with its potentials."""
        return answer(pair, self.p, self._rule, debias=self.debias)

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """The cost or the distance."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the figure says it
            found = self.answer(pair)
        number = found.cost if self.power else found.distance
        return Figure(float(number), converged=found.converged, details=found)

    def limit(self, pair: SamplePair, seed: int | None, figure: Figure | None = None) -> Limit:
        """Normal, around the value without its bias."""
        if self.eps is None:
            raise ValueError("eps must be given: it is part of what the interval is for")
        result = (figure or self.value(pair, seed)).details
        if not result.converged:
            raise NoIntervalError("the solver did not converge")
        x, y = (z.points.detach().double() for z in (pair.x, pair.y))
        power = replace(self, power=True)

        def half(i: np.ndarray, j: np.ndarray) -> float:
            return power.value(replace(pair, x=even(x[i]), y=even(y[j])), seed).value

        value = without_bias(float(result.cost), half, pair, seed)
        words = f"the population's S_eps at eps = {self.eps:.4g}"
        return of_influence(value, *potentials(result), "S_eps", words, p=self.p, unbiased=True)


@dataclass(frozen=True)
class Entropic(SinkhornDivergence):
    """OT_eps, not debiased, for any exponent and metric."""

    debias: ClassVar[bool] = False
    no_limit: ClassVar[str] = "OT_eps is not 0 for equal samples"

    @property
    def negative_type(self) -> float:
        """None is needed."""
        return 0.0

    @property
    def quantity(self) -> str:
        """As it is known."""
        return "OT_eps"
