"""Confidence intervals for distances between populations, only where a limit theorem holds.

Each discrepancy knows its limit and what that covers, or the reason why it has none. At equal
distributions the limits are not normal: where a permutation test sees no difference, all are
refused.
"""

from __future__ import annotations

from typing import Any

import torch

from otdist import discrepancy
from otdist.core import checks
from otdist.core.measure import SamplePair
from otdist.discrepancy.limit import ConfidenceInterval, NoIntervalError
from otdist.inference.visible import check_visible

__all__ = ["ConfidenceInterval", "confidence_interval"]

LEAST_ROWS = 20


def confidence_interval(
    x: Any,
    y: Any,
    statistic: str = "sinkhorn",
    *,
    level: float = 0.95,
    seed: int | None = 0,
    **options: Any,
) -> ConfidenceInterval:
    r"""A confidence interval for a distance between the populations behind two samples.

    Args:
        x: Independent rows of the first population, shape (n, d), or (n,) on the line.
        y: Independent rows of the second, shape (m, d) or (m,).
        statistic: What is estimated, and what the interval then covers:

            * "sinkhorn" (`p`, 2; `eps`, which has no default): the population's S_eps;
            * "wasserstein" (`p`, 2): for p > 1 the *expectation* of W_p^p at these sizes, not the
              population's; on the line W_p of the population, by a bootstrap (`n_resamples`, 999);
            * "sliced" (`p`, 2; `n_projections`, 256): the population's SW_p^p, p > 1;
            * "max_sliced" (`p`, 2): a lower bound of the population's W_p^p along its best
              direction, p > 1, from a direction found on half of the rows;
            * "energy", "mmd" (`bandwidth`, which has no default; `kernel`, "gaussian"), "kid": the
              population's value, squared;
            * "mind" (`n_projections`, 1,000): the population's 3 d SW_2²;
            * "frechet", "fid": the expectation at these sizes, above the population's.

            Others are refused with the reason.
        level: Nominal coverage, above 0 and below 1.
        seed: Of directions, splits, resampling and the test for a difference; None: fresh ones.
        **options: Of the statistic, by name.

    Returns:
        The interval with its target in words; `.distance` has its ends as distances.

    Raises:
        TypeError, ValueError: bad samples (see `wasserstein`), or options that do not apply; a
            statistic without an honest interval, fewer than 20 rows, samples that do not differ
            visibly (a permutation test at 1%), or rows that repeat where a density is needed.

    Cost: the statistic, and a permutation test on at most 2,000 rows of each sample.
    Reference: see the guide to statistics, with the coverage that simulations found.

    >>> import numpy as np, otdist
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + 2
    >>> interval = otdist.confidence_interval(x, y, eps=1.0)
    >>> interval.lower < interval.estimate < interval.upper
    True
    """
    chosen = discrepancy.named(statistic, options, "interval")
    level, seed = checks.share("level", level), checks.seed(seed)
    if chosen.no_limit:
        raise NoIntervalError(f"there is no honest interval for {statistic!r}: {chosen.no_limit}")
    samples = chosen.frame(x, y)
    check_rows(samples)
    with torch.no_grad():
        limit = chosen.limit(samples, seed)
        check_visible(samples, chosen, seed)
        return limit.interval(level)


def check_rows(samples: SamplePair) -> None:
    """Raise where a sample is too small for any limit."""
    n, m = len(samples.x), len(samples.y)
    if min(n, m) < LEAST_ROWS:
        raise NoIntervalError(
            f"an interval needs at least {LEAST_ROWS} rows a side: got {n} and {m}"
        )
