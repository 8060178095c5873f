r"""Confidence intervals for distances between populations, only where a limit theorem holds.

Both statistics here are costs with dual potentials (f, g), which are their influence functions: if
the laws differ, the estimate is asymptotically normal with variance

.. math::  \mathrm{Var} f(X) / n + \mathrm{Var} g(Y) / m .

* Sinkhorn divergence with a given eps: around the population's S_eps (Goldfeld, Kato, Rioux and
  Sadhu 2024, Limit theorems for entropic optimal transport maps and Sinkhorn divergence).
* Exact W_p^p, p > 1: around its *expectation at these sizes*, not the population's distance, from
  which it differs by a bias of order n^(−p/d) (del Barrio and Loubes 2019).

At equal laws the limits are not normal: both are refused where a permutation test sees no
difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import torch

from otdist import distances, divergences
from otdist.inference.permutation import two_sample_test
from otdist.measure import check_p, pair

_REFUSED = {
    "sliced": 'is not offered: use two_sample_test(x, y, "sliced")',
    "max_sliced": "has no normal limit on the rows that its direction was chosen on",
    "frechet": "keeps a sample-size bias that an interval would not cover",
    "precision": "has no known central limit theorem",
    "recall": "has no known central limit theorem",
    "density": "has no known central limit theorem",
    "coverage": "has no known central limit theorem",
}
_SEEN = 0.01
"""p-value up to which the laws count as different."""


@dataclass(frozen=True)
class ConfidenceInterval:
    """Result of `confidence_interval`.

    Attributes:
        lower: Lower end, in the units of `quantity`.
        upper: Upper end.
        estimate: The observed value.
        level: Nominal coverage.
        quantity: What the numbers are.
        target: What the interval covers, in words.

    >>> ConfidenceInterval(1.0, 2.0, 1.5, 0.95, "S_eps", "the population's S_eps")
    S_eps = 1.5, 95% interval [1, 2] for the population's S_eps
    """

    lower: float
    upper: float
    estimate: float
    level: float
    quantity: str
    target: str

    def __repr__(self) -> str:
        ends = f"[{self.lower:.5g}, {self.upper:.5g}]"
        return (
            f"{self.quantity} = {self.estimate:.5g}, {100 * self.level:g}% interval {ends} "
            f"for {self.target}"
        )


def confidence_interval(
    x: Any,
    y: Any,
    statistic: str = "sinkhorn",
    *,
    p: float = 2,
    eps: float | None = None,
    level: float = 0.95,
) -> ConfidenceInterval:
    r"""A confidence interval for a distance between the populations behind two samples.

    Args:
        x: Independent rows of the first population, shape (n, d), or (n,) on the line.
        y: Independent rows of the second, shape (m, d) or (m,).
        statistic: "sinkhorn", for the population's S_eps; or "wasserstein", for the expectation of
            W_p^p at these sizes. Others are refused with the reason.
        p: Exponent; 1 ≤ p ≤ 2 for "sinkhorn", p > 1 for "wasserstein".
        eps: Strength for "sinkhorn", in cost units: part of the target, so that it has no default.
        level: Nominal coverage, above 0 and below 1.

    Returns:
        The interval, in cost units, with its target in words. Normal approximation: it needs
        some tens of rows on each side.

    Raises:
        ValueError: a statistic without an honest interval, eps or p that do not apply, fewer than
            20 rows, or samples that do not differ visibly (energy test, p above 0.01).

    Cost: the statistic, and an energy test of 199 permutations.

    >>> import numpy as np, otdist
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + 2
    >>> interval = otdist.confidence_interval(x, y, eps=1.0)
    >>> interval.lower < interval.estimate < interval.upper
    True
    """
    p = _check(statistic, p, eps, level)
    samples = pair(x, y)
    n, m = len(samples.x), len(samples.y)
    if min(n, m) < 20:
        raise ValueError(f"a normal interval needs at least 20 rows a side: got {n} and {m}")
    with torch.no_grad():
        if statistic == "sinkhorn":
            result = divergences.sinkhorn_divergence(x, y, p=p, eps=eps)
            quantity, target = "S_eps", f"the population's S_eps at eps = {eps:g}"
        else:
            if _repeated(samples.x.points) or _repeated(samples.y.points):
                raise ValueError("rows repeat: exact W_p of discrete laws has no normal limit")
            result = distances.wasserstein(x, y, p=p)
            quantity, target = f"W_{p:g}^{p:g}", f"its expectation at n = {n}, m = {m}"
        test = two_sample_test(x, y, "energy", n_permutations=199)
    if test.pvalue > _SEEN:
        raise ValueError(
            f"the samples do not differ visibly (energy test, p = {test.pvalue:.3g}): at equal "
            "laws the limit is not normal; use two_sample_test"
        )
    f, g = (np.asarray(torch.as_tensor(h).cpu(), dtype=np.float64) for h in result.potentials)
    error = float(f.var(ddof=1) / n + g.var(ddof=1) / m) ** 0.5
    reach = NormalDist().inv_cdf((1 + level) / 2) * error
    cost = float(result.cost)
    return ConfidenceInterval(max(cost - reach, 0.0), cost + reach, cost, level, quantity, target)


def _check(statistic: str, p: float, eps: float | None, level: float) -> float:
    if statistic in _REFUSED:
        raise ValueError(f"an interval for {statistic!r} {_REFUSED[statistic]}")
    if statistic not in ("sinkhorn", "wasserstein"):
        raise ValueError(f'statistic must be "sinkhorn" or "wasserstein": got {statistic!r}')
    if not 0 < level < 1:
        raise ValueError(f"level must be above 0 and below 1: got {level}")
    p = check_p(p)
    if statistic == "sinkhorn" and eps is None:
        raise ValueError("eps must be given: it is part of what the interval is for")
    if statistic == "wasserstein":
        if eps is not None:
            raise ValueError("eps does not apply to exact W_p: leave it out")
        if p == 1:
            raise ValueError("p must be above 1: the potentials of W_1 are not unique")
    return p


def _repeated(points: torch.Tensor) -> bool:
    return len(torch.unique(points, dim=0)) < len(points)
