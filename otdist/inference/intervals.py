"""Confidence intervals for distances between populations, only where a limit theorem holds.

Each statistic is a small dataclass that holds its options and knows what its interval covers;
what has no honest interval is refused with the reason. At equal laws the limits are not normal: all
are refused where a permutation test sees no difference.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from otdist import distances
from otdist.core import checks
from otdist.core.measure import Pair, pair
from otdist.core.result import ConvergenceWarning
from otdist.inference import influence
from otdist.inference.line import RESAMPLES, LineLimit
from otdist.inference.linear import ConfidenceInterval, Linear, NoIntervalError
from otdist.inference.order import halves
from otdist.inference.visible import check_visible
from otdist.moments import kernels
from otdist.sliced import directions as families

__all__ = ["ConfidenceInterval", "confidence_interval"]

REFUSED = {
    "precision": "no central limit theorem is known",
    "recall": "no central limit theorem is known",
    "density": "no central limit theorem is known",
    "coverage": "no central limit theorem is known",
    "classifier": "neighbours are shared between rows, and no central limit theorem is known",
    "frechet_infinity": "no central limit theorem is known for the extrapolation",
    "gaussian": 'use "frechet"',
}
LEAST_ROWS = 20
P1 = "p must be above 1: the potentials of W_1 are not unique, so that its limit is not normal"


class HasInterval(Protocol):
    """A statistic with an honest interval."""

    @property
    def degree(self) -> int | None:
        """Of the polynomial kernel whose test must see a difference; None: energy."""
        ...

    def limit(self, pair: Pair, x: Any, y: Any, seed: int | None) -> Linear | LineLimit:
        """The estimate with what its interval follows from.

        Raises:
            NoIntervalError: these samples have none.
        """
        ...


@dataclass(frozen=True)
class Wasserstein:
    """Exact W_p^p, p > 1, for its expectation at these sizes; on the line the populations' W_p."""

    p: float = 2
    n_resamples: int | None = None
    degree = None

    def __post_init__(self) -> None:
        number = checks.optional(checks.whole, "n_resamples", self.n_resamples)
        checks.settle(self, p=checks.exponent(self.p), n_resamples=number)

    def limit(self, pair: Pair, x: Any, y: Any, seed: int | None) -> Linear | LineLimit:
        """See `HasInterval`."""
        if pair.x.points.shape[1] == 1:
            return LineLimit(pair, self.p, seed, self.n_resamples or RESAMPLES)
        if self.n_resamples is not None:
            raise ValueError("n_resamples applies on the line only: leave it out")
        if self.p == 1:
            raise NoIntervalError(P1)
        influence.refuse_repeats(pair, "exact W_p of discrete laws")
        return influence.exact(pair, distances.wasserstein(x, y, p=self.p))


@dataclass(frozen=True)
class Sliced:
    """SW_p^p, p > 1, of the populations."""

    p: float = 2
    n_projections: int = 256
    degree = None

    def __post_init__(self) -> None:
        _above_one(self.p)
        checks.settle(self, n_projections=checks.whole("n_projections", self.n_projections))

    def limit(self, pair: Pair, x: Any, y: Any, seed: int | None) -> Linear:
        """See `HasInterval`."""
        d = pair.x.points.shape[1]
        rng = np.random.default_rng(seed)
        chosen = families.draw("orthogonal", self.n_projections, d, rng)
        return influence.sliced(pair, self.p, chosen, seed)


@dataclass(frozen=True)
class MaxSliced:
    """A lower bound of W_p^p along the best direction, which one half of the rows chooses."""

    p: float = 2
    degree = None

    def __post_init__(self) -> None:
        _above_one(self.p)

    def limit(self, pair: Pair, x: Any, y: Any, seed: int | None) -> Linear:
        """See `HasInterval`."""
        rng = np.random.default_rng(seed)
        x, y = (z.points.detach().double().cpu().numpy() for z in (pair.x, pair.y))
        (i, held_x), (j, held_y) = halves(x, rng), halves(y, rng)
        found = distances.max_sliced_wasserstein(
            x[i], y[j], p=self.p, n_starts=8, max_iter=60, seed=seed
        )
        return influence.along(pair, (held_x, held_y), found.directions[0], self.p, seed)


@dataclass(frozen=True)
class Sinkhorn:
    """The Sinkhorn divergence at a given eps."""

    p: float = 2
    eps: float | None = None
    degree = None

    def __post_init__(self) -> None:
        if checks.exponent(self.p) > 2:
            raise ValueError(f"p must be between 1 and 2 for a Sinkhorn divergence: got {self.p}")
        if self.eps is None:
            raise ValueError("eps must be given: it is part of what the interval is for")
        checks.settle(self, eps=checks.positive("eps", self.eps))

    def limit(self, pair: Pair, x: Any, y: Any, seed: int | None) -> Linear:
        """See `HasInterval`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # refused with that reason
            result = distances.sinkhorn_divergence(x, y, p=self.p, eps=self.eps)
        return influence.sinkhorn(pair, result, seed)


@dataclass(frozen=True)
class Energy:
    """The squared energy distance, unbiased."""

    degree = None

    def limit(self, pair: Pair, x: Any, y: Any, seed: int | None) -> Linear:
        """See `HasInterval`."""
        target = "the population's squared energy distance"
        return influence.energy_means(pair).linear("squared energy distance", target, p=2)


@dataclass(frozen=True)
class Mmd:
    """MMD² of a kernel, unbiased."""

    kernel: str = "gaussian"
    bandwidth: float | None = None

    def __post_init__(self) -> None:
        kernels.check_kernel(self.kernel, self.bandwidth)
        if self.kernel != "polynomial" and self.bandwidth is None:
            raise ValueError("bandwidth must be given: it is part of what the interval is for")

    @property
    def degree(self) -> int | None:
        """KID's kernel sees three moments only."""
        return 3 if self.kernel == "polynomial" else None

    def limit(self, pair: Pair, x: Any, y: Any, seed: int | None) -> Linear:
        """See `HasInterval`."""
        means = influence.kernel_means(pair, self.kernel, self.bandwidth)
        at = "" if self.bandwidth is None else f", bandwidth {self.bandwidth:.4g}"
        return means.linear("MMD²", f"the population's MMD², {self.kernel} kernel{at}", p=2)


@dataclass(frozen=True)
class Frechet:
    """W_2² between fitted Gaussians, for its expectation at these sizes."""

    degree = 2

    def limit(self, pair: Pair, x: Any, y: Any, seed: int | None) -> Linear:
        """See `HasInterval`."""
        return influence.frechet(pair)


def _kid() -> Mmd:
    """MMD² of the kernel (⟨x, y⟩/d + 1)³."""
    return Mmd("polynomial")


NAMES: dict[str, Callable[..., HasInterval]] = {
    "wasserstein": Wasserstein,
    "sliced": Sliced,
    "max_sliced": MaxSliced,
    "sinkhorn": Sinkhorn,
    "energy": Energy,
    "mmd": Mmd,
    "kid": _kid,
    "frechet": Frechet,
}


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
            * "frechet": the expectation at these sizes, above the population's.

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
    chosen = named(statistic, options)
    level, seed = checks.share("level", level), checks.seed(seed)
    samples = pair(x, y)
    check_rows(samples)
    with torch.no_grad():
        limit = chosen.limit(samples, x, y, seed)
        check_visible(samples, chosen.degree, seed)
        return limit.interval(level)


def check_rows(samples: Pair) -> None:
    """Raise where a sample is too small for any limit."""
    n, m = len(samples.x), len(samples.y)
    if min(n, m) < LEAST_ROWS:
        raise NoIntervalError(
            f"an interval needs at least {LEAST_ROWS} rows a side: got {n} and {m}"
        )


def named(statistic: str, options: dict[str, Any]) -> HasInterval:
    """The statistic of that name, with its options.

    Raises:
        ValueError: an unknown name, one without an interval, or an option that it does not have.
    """
    if isinstance(statistic, str) and statistic in REFUSED:
        raise ValueError(f"there is no honest interval for {statistic!r}: {REFUSED[statistic]}")
    checks.choice("statistic", statistic, NAMES)
    maker = NAMES[statistic]
    known = set(getattr(maker, "__dataclass_fields__", {}))
    if not set(options) <= known:
        wrong = ", ".join(sorted(set(options) - known))
        allowed = ", ".join(sorted(known)) or "none"
        raise ValueError(f"statistic {statistic!r} has no option {wrong}: it has {allowed}")
    return maker(**options)


def _above_one(p: float) -> None:
    if checks.exponent(p) == 1:
        raise NoIntervalError(P1)
