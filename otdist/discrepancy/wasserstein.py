"""W_p, exact.

Where p > 1, W_p^p is normal around its *expectation at these sizes*, which is above the
population's by a bias of order n^(−p/d) (del Barrio and Loubes 2019); the dual potentials are its
influence function. On the line W_p itself is bootstrapped around the population's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch

from otdist import metrics
from otdist.core import checks
from otdist.core.frame import framed_arrays
from otdist.core.measure import WEIGHT_TOLERANCE, SamplePair, pair
from otdist.core.result import DivergenceResult, OTResult
from otdist.core.task import of_pair
from otdist.discrepancy.base import Discrepancy, Figure, Limit, Options, only, refuse_blocks
from otdist.discrepancy.limit import NoIntervalError, of_influence, refuse_repeats
from otdist.discrepancy.line_limit import RESAMPLES, LineLimit
from otdist.exact import few
from otdist.exact.cost_matrix import DIRECT
from otdist.line import solver
from otdist.solve import Solver, bottleneck, solve

EXACT_ROWS = 2000
"""Rows of the values whose work or memory grows too fast, unless a caller of a report asks."""
P1 = "the potentials of W_1 are not unique, so that its limit is not normal"


@dataclass(frozen=True)
class Wasserstein(Discrepancy):
    """W_p of the best plan of a solver, exact unless one is given."""

    p: float = 1
    solver: Solver | None = field(default=None, metadata=only("distance"))
    rtol: float = field(default=0.0, metadata=only("distance"))
    n_resamples: int | None = field(default=None, metadata=only("interval"))
    metric: Any = field(default="euclidean", metadata=only("distance", "test"))

    most_rows: ClassVar[int | None] = EXACT_ROWS
    weighted: ClassVar[bool] = True
    in_threads: ClassVar[bool] = True
    no_limit: ClassVar[str] = ""
    in_intervals: ClassVar[Options] = {"p": 2}

    def __post_init__(self) -> None:
        number = checks.optional(checks.whole, "n_resamples", self.n_resamples)
        rtol = checks.number("rtol", self.rtol, least=0)
        checks.settle(self, p=checks.exponent(self.p, infinite=True), rtol=rtol, n_resamples=number)
        checks.settle(self, metric=metrics.named(self.metric))

    @property
    def title(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The exponent and the units."""
        return f"exact W_{self.p:g}, units of x"

    @property
    def quantity(self) -> str:
        """W_p."""
        return f"W_{self.p:g}"

    def rows(self, dimension: int) -> int | None:
        """All on the line, where they are sorted."""
        return None if dimension == 1 else self.most_rows

    def numbers(self, pair: SamplePair) -> int:
        """Pairs, or points on the line."""
        n, m = len(pair.x), len(pair.y)
        return n + m if pair.x.points.shape[1] == 1 else n * m

    def quickly(self, x: Any, y: Any, a: Any, b: Any, **call: Any) -> OTResult | None:
        """By the same solvers as `answer`, without tensors, a task and threads around them."""
        if self.solver is not None or self.metric is not None or call.get("start") is not None:
            return None
        if self.p == math.inf:
            return None
        both = framed_arrays(x, y, a, b, self.p, WEIGHT_TOLERANCE, differences=DIRECT)
        if both is None:
            return None
        if both.x.shape[1] == 1:
            return solver.solve_few(both, self.p)
        return few.solve_few(both, self.p)

    def frame(self, x: Any, y: Any, a: Any = None, b: Any = None) -> SamplePair:
        """Without points of weight zero, to which the answer is extended."""
        return pair(x, y, a, b, p=self._power, extends=True, metric=self.metric)

    @property
    def _power(self) -> float:
        """The exponent of distances in the costs."""
        return 1.0 if self.p == math.inf else self.p

    def answer(
        self, pair: SamplePair, seed: int | None = 0, *, start: OTResult | None = None
    ) -> Any:
        """The result of the solver."""
        task = of_pair(pair, self._power)
        if self.p == math.inf:
            return bottleneck(task, self.solver, start)
        return solve(task, self.solver, self.rtol, start)

    def streamed(self, x: Any, y: Any, a: Any, b: Any, seed: int | None = 0, **call: Any) -> Any:
        """The distance on the line, from sketches."""
        from otdist.outofcore.functions import wasserstein

        refuse_blocks(self.metric)
        checks.exponent(self.p)
        return wasserstein(x, y, a=a, b=b, p=self.p, solver=self.solver, rtol=self.rtol, **call)

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """W_p with its certified bracket."""
        found = self.answer(pair)
        return Figure(float(found.distance), found.lower, found.upper, found.converged, found)

    def limit(self, pair: SamplePair, seed: int | None, figure: Figure | None = None) -> Limit:
        """Normal, from the potentials; on the line a bootstrap."""
        if self.p == math.inf:
            raise NoIntervalError(
                "p must be finite: single points decide W_inf, which has no limit"
            )
        if pair.x.points.shape[1] == 1:
            return LineLimit(pair, self.p, seed, self.n_resamples or RESAMPLES)
        if self.n_resamples is not None:
            raise ValueError("n_resamples applies on the line only: leave it out")
        above_one(self.p)
        refuse_repeats(pair, "exact W_p of discrete distributions")
        result = (figure or self.value(pair, seed)).details
        if not result.converged:
            raise NoIntervalError("the solver did not converge")
        power = f"W_{self.p:g}^{self.p:g}"
        words = f"the expectation of {power} at n = {len(pair.x)}, m = {len(pair.y)}"
        return of_influence(float(result.cost), *potentials(result), power, words, p=self.p)


@lru_cache(maxsize=64)
def exact_with(p: float, rtol: float) -> Wasserstein:
    """The exact W_p, whose options need one check only however often it is called."""
    return Wasserstein(p, None, rtol)


def chosen(p: Any, solver: Any, rtol: Any, metric: Any) -> Wasserstein:
    """The object of these options."""
    common = solver is None and type(metric) is str and metric == "euclidean"
    if common and type(p) in (int, float) and type(rtol) in (int, float):
        return exact_with(p, rtol)
    return Wasserstein(p, solver, rtol, metric=metric)


def above_one(p: float) -> None:
    """Raise where potentials are not unique."""
    if p == 1:
        raise NoIntervalError(f"p must be above 1: {P1}")


def potentials(result: OTResult | DivergenceResult) -> tuple[np.ndarray, np.ndarray]:
    """Potentials as float64 arrays of numpy."""
    f, g = (torch.as_tensor(h).cpu().double().numpy() for h in result.potentials)
    return f, g
