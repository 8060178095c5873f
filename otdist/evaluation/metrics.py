"""The metrics of a report: what each computes, at which size, and what it does not promise."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from otdist import distances
from otdist.core import checks
from otdist.core.measure import pair
from otdist.core.result import ConvergenceWarning
from otdist.evaluation import neighbours
from otdist.inference import influence, intervals
from otdist.inference.line import LineLimit
from otdist.inference.linear import Linear, NoIntervalError

EXACT_POINTS = 2000
"""Rows of the metrics whose work or memory grows too fast, unless a caller asks for more."""
REPEATS = 5


class Figure(NamedTuple):
    """One value; `lower` and `upper` certify it where a proof exists.

    `limit` computes what an interval follows from, or raises `NoIntervalError`.
    """

    value: float
    lower: float | None = None
    upper: float | None = None
    converged: bool = True
    pvalue: float | None = None
    limit: Callable[[], Linear | LineLimit] | None = None


class Call(NamedTuple):
    """What a metric is given besides the samples.

    `eps` and `bandwidth` belong to the real sample alone, so that one and the same distance ranks
    all fakes, and is what an interval is for; None where its rows coincide.
    """

    seed: int | None
    n_permutations: int
    eps: float | None = None
    bandwidth: float | None = None


Compute = Callable[[np.ndarray, np.ndarray, Call], dict[str, Figure]]


@dataclass(frozen=True)
class Metric:
    """A computation with one or several outputs.

    Attributes:
        titles: Output name → convention in words.
        compute: The figures of one pair of samples.
        cap: Most rows of each sample, or None for all.
        higher: Whether larger is better.
        test: Statistic of `two_sample_test` that gives a p-value, or None.
        no_interval: Why there is no confidence interval; "" where there may be one.
        least: Rows needed on each side.
        root: Whether the figure is the root of what the interval is computed for.
        degree: Of the polynomial kernel whose test must see a difference before an interval is
            given; None is the energy distance.
        spread: Whether draws of half of the rows show how much the figure moves.
    """

    titles: dict[str, str]
    compute: Compute
    cap: int | None = None
    higher: bool = False
    test: str | None = None
    no_interval: str = ""
    least: int = 1
    root: bool = True
    degree: int | None = None
    spread: bool = False

    def most(self, dimension: int) -> int | None:
        """The cap; on the line, where they are sorted, none for exact metrics."""
        exact = bool({"w1", "w2"} & set(self.titles))
        return None if exact and dimension == 1 else self.cap


def _exact(p: int) -> Compute:
    def compute(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
        result = distances.wasserstein(x, y, p=p)

        def limit() -> Linear | LineLimit:
            if x.shape[1] == 1:
                return LineLimit(pair(x, y), p, call.seed)
            if p == 1:
                raise NoIntervalError(_NO_LIMIT)
            return influence.exact(pair(x, y), result)

        figure = Figure(result.distance, result.lower, result.upper, result.converged, limit=limit)
        return {f"w{p}": figure}

    return compute


def _sliced(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    result = distances.sliced_wasserstein(x, y, p=2, seed=call.seed)
    limit = partial(_limit, intervals.Sliced(p=2), x, y, call)
    return {"sliced_w2": Figure(result.distance, limit=limit)}


def _max_sliced(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    result = distances.max_sliced_wasserstein(x, y, p=2, n_starts=8, max_iter=60, seed=call.seed)
    limit = partial(_limit, intervals.MaxSliced(p=2), x, y, call)
    return {"max_sliced_w2": Figure(result.distance, limit=limit)}


def _sinkhorn(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the report says it
        result = distances.sinkhorn_divergence(x, y, p=2, eps=call.eps)

    def limit() -> Linear:
        return influence.sinkhorn(pair(x, y), result, call.seed)

    return {"sinkhorn": Figure(result.distance, converged=result.converged, limit=limit)}


def _energy(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    means = influence.energy_means(pair(x, y))
    limit = partial(means.linear, "", "the population's squared energy distance", p=2)
    return {"energy": Figure(max(means.v, 0.0) ** 0.5, limit=limit)}


def _mmd(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    means = influence.kernel_means(pair(x, y), "gaussian", call.bandwidth)
    words = "the population's MMD²"
    if call.bandwidth is not None:
        words += f" at bandwidth {call.bandwidth:.4g}"
    limit = partial(means.linear, "", words, p=2)
    return {"mmd": Figure(max(means.v, 0.0) ** 0.5, limit=limit)}


def _kid(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    means = influence.kernel_means(pair(x, y), "polynomial")
    return {"kid": Figure(means.u, limit=partial(means.linear, "", "the population's KID"))}


def _frechet(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    value = float(distances.gaussian_wasserstein(x, y)) ** 2
    return {"frechet": Figure(value, limit=partial(_limit, intervals.Frechet(), x, y, call))}


def _limit(
    statistic: intervals.HasInterval, x: np.ndarray, y: np.ndarray, call: Call
) -> Linear | LineLimit:
    return statistic.limit(pair(x, y), x, y, call.seed)


def _frechet_infinity(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    """The intercept of Fréchet values against 1/n (Chong and Forsyth 2020, FID_∞)."""
    rng = np.random.default_rng(call.seed)
    x, y = rng.permutation(x), rng.permutation(y)
    shares = np.linspace(0.5, 1, 8)
    values = [
        _frechet(x[: round(s * len(x))], y[: round(s * len(y))], call)["frechet"].value
        for s in shares
    ]
    return {"frechet_infinity": Figure(float(np.polyfit(1 / shares, values, 1)[1]))}


def _prdc(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    values = neighbours.precision_recall(x, y)
    return {name: Figure(value) for name, value in values.items()}


def _classifier(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    rng = np.random.default_rng(call.seed)
    size = min(len(x), len(y))
    x, y = (z if len(z) == size else rng.permutation(z)[:size] for z in (x, y))
    value, p = neighbours.neighbour_accuracy(x, y, call.n_permutations, call.seed)
    return {"classifier": Figure(value, pvalue=p)}


_NO_LIMIT = "the potentials of W_1 are not unique, so that its limit is not normal"
_NO_CLT = intervals.REFUSED["precision"]

METRICS = [
    Metric({"w1": "exact W_1, units of x"}, _exact(1), EXACT_POINTS),
    Metric({"w2": "exact W_2, units of x"}, _exact(2), EXACT_POINTS),
    Metric(
        {"sliced_w2": "SW_2 over 256 directions, units of x"},
        _sliced,
        test="sliced",
    ),
    Metric(
        {"max_sliced_w2": "largest W_2 along a direction, units of x"},
        _max_sliced,
        EXACT_POINTS,
    ),
    Metric(
        {"sinkhorn": "root of S_eps, p = 2, eps 1% of the mean cost within the real sample"},
        _sinkhorn,
        EXACT_POINTS,
    ),
    Metric({"energy": "energy distance (root, V-statistic)"}, _energy, test="energy"),
    Metric(
        {"mmd": "MMD, Gaussian kernel, bandwidth the median distance of the reals (root)"},
        _mmd,
        test="mmd",
    ),
    Metric(
        {"frechet": "W_2² of fitted Gaussians, covariances divided by n"},
        _frechet,
        root=False,
        degree=2,
    ),
    Metric(
        {"frechet_infinity": "the same extrapolated to infinite n, linear in 1/n"},
        _frechet_infinity,
        no_interval=intervals.REFUSED["frechet_infinity"],
        least=4,
    ),
    Metric(
        {"kid": "KID: unbiased MMD² of the kernel (xy/d + 1)³, all pairs"},
        _kid,
        least=2,
        root=False,
        degree=3,
    ),
    Metric(
        {
            "precision": "fakes within a ball of the reals, k = 5",
            "recall": "reals within a ball of the fakes, k = 5",
            "density": "balls of the reals per fake, over k",
            "coverage": "balls of the reals that hold a fake",
        },
        _prdc,
        higher=True,
        no_interval=f"{_NO_CLT}: ± is the spread of {REPEATS} draws of half of the rows",
        least=2,
        spread=True,
    ),
    Metric(
        {"classifier": "accuracy of the nearest neighbour, 0.5 is chance"},
        _classifier,
        no_interval=intervals.REFUSED["classifier"],
        least=2,
    ),
]
NAMES = [name for metric in METRICS for name in metric.titles]


def chosen(names: Sequence[str] | str | None) -> list[Metric]:
    """The metrics that compute the named outputs, all by default.

    Raises:
        ValueError: an unknown name, or none.
    """
    if names is None:
        return METRICS
    wanted = set(checks.names("metrics", names, NAMES))
    return [metric for metric in METRICS if wanted & set(metric.titles)]
