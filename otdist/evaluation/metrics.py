"""The metrics of a report: what each computes, at which size, and what it does not promise."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from otdist import distances, divergences
from otdist.evaluation import neighbours
from otdist.result import ConvergenceWarning
from otdist.solvers.max_sliced import max_sliced_wasserstein
from otdist.solvers.sliced import sliced_wasserstein

EXACT_POINTS = 2000
"""Rows of the metrics whose work or memory grows too fast, unless a caller asks for more."""
REPEATS = 5


class Figure(NamedTuple):
    """One value; `lower` and `upper` certify it where a proof exists."""

    value: float
    lower: float | None = None
    upper: float | None = None
    converged: bool = True
    pvalue: float | None = None


class Call(NamedTuple):
    """What a metric is given besides the samples."""

    seed: int | None
    n_permutations: int


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
        no_interval: Why there is no confidence interval.
        least: Rows needed on each side.
    """

    titles: dict[str, str]
    compute: Compute
    cap: int | None = None
    higher: bool = False
    test: str | None = None
    no_interval: str = "not computed: a sum over pairs, normal only where the laws differ"
    least: int = 1


def _exact(p: int) -> Compute:
    def compute(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
        result = distances.wasserstein(x, y, p=p)
        figure = Figure(result.distance, result.lower, result.upper, result.converged)
        return {f"w{p}": figure}

    return compute


def _sliced(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    return {"sliced_w2": Figure(sliced_wasserstein(x, y, p=2, seed=call.seed).distance)}


def _max_sliced(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    result = max_sliced_wasserstein(x, y, p=2, n_starts=8, max_iter=60, seed=call.seed)
    return {"max_sliced_w2": Figure(result.distance)}


def _sinkhorn(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the report says it
        result = divergences.sinkhorn_divergence(x, y, p=2)
    return {"sinkhorn": Figure(result.distance, converged=result.converged)}


def _energy(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    return {"energy": Figure(float(divergences.energy_distance(x, y)))}


def _mmd(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    return {"mmd": Figure(float(divergences.mmd(x, y)))}


def _kid(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    return {"kid": Figure(float(divergences.mmd(x, y, kernel="polynomial", statistic="U")))}


def _frechet(x: np.ndarray, y: np.ndarray, call: Call) -> dict[str, Figure]:
    return {"frechet": Figure(float(divergences.gaussian_wasserstein(x, y)) ** 2)}


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


_NO_LIMIT = "no normal limit around the population value in more than one dimension"
_SUPREMUM = "the direction was chosen on the same rows"
_BIASED = "the bias of order d/n would remain; see frechet_infinity"
_NO_CLT = "no central limit theorem is known"

METRICS = [
    Metric({"w1": "exact W_1, units of x"}, _exact(1), EXACT_POINTS, no_interval=_NO_LIMIT),
    Metric({"w2": "exact W_2, units of x"}, _exact(2), EXACT_POINTS, no_interval=_NO_LIMIT),
    Metric(
        {"sliced_w2": "SW_2 over 256 directions, units of x"},
        _sliced,
        test="sliced",
        no_interval="not computed",
    ),
    Metric(
        {"max_sliced_w2": "largest W_2 along a direction, units of x"},
        _max_sliced,
        EXACT_POINTS,
        no_interval=_SUPREMUM,
    ),
    Metric(
        {"sinkhorn": "root of the Sinkhorn divergence, p = 2, eps 1% of the mean cost"},
        _sinkhorn,
        EXACT_POINTS,
        no_interval="eps depends on the samples",
    ),
    Metric({"energy": "energy distance (root, V-statistic)"}, _energy, test="energy"),
    Metric({"mmd": "MMD, Gaussian kernel of median bandwidth (root)"}, _mmd, test="mmd"),
    Metric(
        {"frechet": "W_2² of fitted Gaussians, covariances divided by n"},
        _frechet,
        no_interval=_BIASED,
    ),
    Metric(
        {"frechet_infinity": "the same extrapolated to infinite n, linear in 1/n"},
        _frechet_infinity,
        no_interval=_NO_CLT,
        least=4,
    ),
    Metric({"kid": "KID: unbiased MMD² of the kernel (xy/d + 1)³, all pairs"}, _kid, least=2),
    Metric(
        {
            "precision": "fakes within a ball of the reals, k = 5",
            "recall": "reals within a ball of the fakes, k = 5",
            "density": "balls of the reals per fake, over k",
            "coverage": "balls of the reals that hold a fake",
        },
        _prdc,
        higher=True,
        no_interval=_NO_CLT,
        least=2,
    ),
    Metric(
        {"classifier": "accuracy of the nearest neighbour, 0.5 is chance"},
        _classifier,
        no_interval=_NO_CLT,
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
    if isinstance(names, str):
        names = [names]
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise ValueError(f"metrics must be among {', '.join(NAMES)}: got {', '.join(unknown)}")
    return [metric for metric in METRICS if set(names) & set(metric.titles)]
