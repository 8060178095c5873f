r"""The confidence limit of a difference of means: what critics say about distributions.

Welch's t of the difference D, with the skewness removed. Scores are often skewed: where one
distribution gathers at places and the other does not, as on ray-monotone pairs, those of x have a
long tail downwards. A high mean of such scores comes with a small deviation, and Student's limit of
it is above the truth too often. With T = (D − θ)/s, s² = s_x²/n + s_y²/m, and the third cumulant of
D over s³, γ = (κ_x/n² − κ_y/m²)/s³,

.. math::  P(T \le t) = Φ(t) + \tfrac{γ}{6} (2t^2 + 1)\, φ(t) + O(1/n),

and Hall's increasing function g(T) = T + γT²/3 + γ²T³/27 + γ/6 has no term in γ any more. So the
limit is D − s · g⁻¹(q) with Student's quantile q. It is used where it is the lower of the two only:
the skewness of few points is rarely seen in full, and a limit should not gain by its noise.

Misses where 5% are allowed, of 40,000 samples of n points of either: x = −U⁴ against y = −√U
(two dimensions of a ray-monotone pair), x = −E against a narrow normal one (E exponential):

| n | U⁴: Welch | this | E: Welch | this |
|---|---|---|---|---|
| 20 | 7.1% | 4.4% | 10.9% | 6.7% |
| 100 | 6.2% | 5.1% | 7.3% | 5.2% |
| 600 | 5.3% | 5.0% | 5.9% | 5.0% |

No limit holds for every distribution: that of a few points of a long tail, which none of them
shows, is off (10% of E at n = 5).

Reference: Hall (1992), On the Removal of Skewness by Transformation, J. R. Stat. Soc. B 54; Zhou
    and Dinh (2005), Nonparametric confidence intervals for the one- and two-sample problems,
    Biostatistics 6, for two samples.
"""

from __future__ import annotations

import math

import torch
from scipy.stats import t as student
from torch import Tensor

CONFIDENCE = 0.95
"""One-sided."""


def limit(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Difference of the means of two independent samples, and its one-sided lower limit.

    Args:
        x: Scores of held-out points of the first distribution, shape (n,), n ≥ 2.
        y: Of the second, shape (m,), m ≥ 2.

    Returns:
        (estimate, limit), the limit not below 0, which no distance is.

    >>> x, y = torch.arange(100.0).double() + 50, torch.arange(100.0).double()
    >>> estimate, lower = limit(x, y)
    >>> estimate, round(lower, 2)
    (50.0, 43.22)
    """
    estimate = float(x.mean() - y.mean())
    size = float(torch.cat([x, y]).abs().max())
    if size == 0:
        return 0.0, 0.0
    x, y = x / size, y / size
    first, second = (float(s.var()) / len(s) for s in (x, y))
    total = first + second
    if total == 0:
        return estimate, max(0.0, estimate)
    freedom = total**2 / (first**2 / (len(x) - 1) + second**2 / (len(y) - 1))
    quantile = float(student.ppf(CONFIDENCE, freedom))
    skewness = (_third(x) - _third(y)) / total**1.5
    margin = max(quantile, unskewed(quantile, skewness)) * math.sqrt(total) * size
    return estimate, max(0.0, estimate - margin)


def unskewed(t: float, skewness: float) -> float:
    """Hall's g⁻¹: 3/γ · ((1 + γ(t − γ/6))^⅓ − 1), written without cancellation at small γ.

    >>> round(unskewed(1.645, -0.1), 4), round(unskewed(1.645, 0.0), 4)
    (1.7633, 1.645)
    """
    moved = t - skewness / 6
    root = math.cbrt(1 + skewness * moved)
    return 3 * moved / (root * root + root + 1)


def _third(scores: Tensor) -> float:
    """Third cumulant of the mean of so many scores; 0 of two, which have none."""
    n = len(scores)
    if n < 3:
        return 0.0
    cube = float((scores - scores.mean()).pow(3).sum())
    return cube / ((n - 1) * (n - 2) * n)
