r"""Bootstrap of W_p on the line, where the limit between different distributions is normal.

The basic bootstrap draws rows with replacement and turns the spread of the values around: with the
quantiles q of the bootstrapped W_p, the interval is [2 W_p − q_high, 2 W_p − q_low]. That takes the
bias, which the bootstrap repeats, off instead of adding it again. Under heavy tails most samples
lack the rare rows that make W_p large, and that interval ends too low. The percentile interval
[q_low, q_high] reaches further up. The two are united, and the ends drawn out by Student's t where
few rows carry the variance: with the shares s_i of the N rows of both samples in it, Σ s_i = 1, its
estimate has the relative variance Σ s_i² − 1/N, which is that of ν = 2 / (Σ s_i² − 1/N) degrees of
freedom.

Refusing samples in which one row stands out would make it worse: those that are left lack a rare
row, and miss more often (`python -m benchmarks coverage tails`). So an interval is refused only
where one row is nearly all of the variance, as in most samples of Cauchy distributions, whose W_2
is infinite.

W_1 = ∫ |F − G| has a kink wherever F and G meet: where they are equal on a set of positive measure,
the limit is not normal (del Barrio, Giné and Matrán 1999, Central limit theorems for the
Wasserstein distance between the empirical and the true distributions). There |F_n − G_m| exceeds
|F − G| = 0 by √(2/π) s on average, s its standard error. Where F and G may be equal, |F_n − G_m|
being below 3 s, that excess is summed: if it is not small compared with the interval, there is
none. What is left of it lowers the lower end: samples that pass by chance are those whose distance
is too large (`python -m benchmarks coverage wasserstein`, exponential samples).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from scipy.special import stdtrit

from otdist.core.measure import SamplePair
from otdist.discrepancy.limit import (
    ConfidenceInterval,
    NoIntervalError,
    refuse_heavy_tails,
    refuse_repeats,
)
from otdist.line import univariate
from otdist.line.staircase import uniform_staircase

RESAMPLES = 999
_ENTRIES = 1 << 20
"""Numbers drawn at a time."""
_LARGEST_SHARE = 0.8
"""Of the variance, in one row. More is found in 58% of samples of Cauchy distributions, at every
size, and in 6% to 18% of lognormal ones (1,000 to 30 rows), which cover with it as without."""
_NOTED = 1.1
"""Factor of the heavy tails from which an interval says that it is wider."""
_EXCESS = 0.45
"""Largest excess in half-widths of the interval. Where F and G are equal for half of the mass it
is 0.5 to 0.9 at every size; where they cross, N(0, 1) and N(0, 2²), it is 0.9 at 60 rows, 0.3 at
300 and 0.1 at 3,000."""


@dataclass(frozen=True)
class LineLimit:
    """W_p on the line between two samples.

    Attributes:
        pair: The samples, d = 1.
        p: Exponent, ≥ 1.
        seed: Of the draws.
        resamples: Number of draws.
    """

    pair: SamplePair
    p: float
    seed: int | None = 0
    resamples: int = RESAMPLES

    def interval(self, level: float) -> ConfidenceInterval:
        """The interval for the population's W_p.

        Raises:
            NoIntervalError: rows repeat (p > 1), or F and G are too near on too long a stretch.
        """
        if self.p > 1:
            refuse_repeats(self.pair, "W_p of discrete distributions, p > 1,")
        x, y = (z.points.detach().double()[:, 0].cpu().numpy() for z in (self.pair.x, self.pair.y))
        value = univariate.cost(torch.from_numpy(x), torch.from_numpy(y), self.p)
        value = float(self._root(value))
        potentials = univariate.potentials(torch.from_numpy(x), torch.from_numpy(y), self.p)
        terms = [(f - f.mean()).numpy() / len(f) for f in potentials]
        refuse_heavy_tails(*terms, most=_LARGEST_SHARE)
        wider = _widening(terms, (1 + level) / 2)
        tails = [(1 + level) / 2, (1 - level) / 2]
        high, low, middle = (float(q) for q in np.quantile(self._draws(x, y), [*tails, 0.5]))
        below, above = value - min(2 * value - high, low), max(2 * value - low, high) - value
        lower, upper = max(value - wider * below, 0.0), value + wider * above
        if self.p == 1:
            excess = _excess(x, y)
            if excess > _EXCESS * (high - low) / 2:
                raise NoIntervalError(
                    "the distribution functions meet on too long a stretch for W_1"
                )
            lower = max(lower - excess, 0.0)
        scale = self.pair.scale
        name = f"W_{self.p:g}"
        return ConfidenceInterval(
            lower * scale,
            upper * scale,
            value * scale,
            level,
            name,
            f"the population's {name}",
            centre=max(2 * value - middle, 0.0) * scale,
            note=f"{wider - 1:.0%} wider for heavy tails" if wider >= _NOTED else "",
        )

    def _root(self, cost: torch.Tensor) -> torch.Tensor:
        return cost.clamp(min=0) ** (1 / self.p)

    def _draws(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """W_p of `resamples` pairs of resampled samples, in scaled units."""
        rng = np.random.default_rng(self.seed)
        n, m = len(x), len(y)
        stairs = uniform_staircase(n, m, torch.device("cpu")) if n != m else None
        step = max(1, _ENTRIES // (n + m))
        values = np.empty(self.resamples)
        for start in range(0, self.resamples, step):
            count = min(step, self.resamples - start)
            some_x = torch.from_numpy(x[rng.integers(n, size=(count, n))])
            some_y = torch.from_numpy(y[rng.integers(m, size=(count, m))])
            cost = univariate.cost_(some_x, some_y, self.p, stairs)
            values[start : start + count] = self._root(cost).numpy()
        return values


def _widening(terms: Sequence[np.ndarray], tail: float) -> float:
    """Student's quantile over the normal one, with ν of the terms' squares (see above)."""
    squares = np.concatenate([np.square(of_sample) for of_sample in terms])
    if not squares.any():
        return 1.0
    shares = squares / squares.sum()
    freedom = 2 / max(float(shares @ shares) - 1 / len(shares), 1e-9)
    return float(stdtrit(freedom, tail)) / NormalDist().inv_cdf(tail)


def _excess(x: np.ndarray, y: np.ndarray) -> float:
    """√(2/π) ∫ s dt over |F_n − G_m| ≤ 3 s, s the standard error of F_n − G_m."""
    points = np.sort(np.concatenate([x, y]))
    f = np.searchsorted(np.sort(x), points[:-1], side="right") / len(x)
    g = np.searchsorted(np.sort(y), points[:-1], side="right") / len(y)
    error = np.sqrt(f * (1 - f) / len(x) + g * (1 - g) / len(y))
    equal = np.abs(f - g) <= 3 * error
    return math.sqrt(2 / math.pi) * float((error * equal) @ np.diff(points))
