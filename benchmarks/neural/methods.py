"""The critics that are compared: ours, the published ones, and exact transport of samples.

Each gets the same seconds of CPU, one thread, all of its costs included; the networks of the
published methods are three layers of 128 with batches of 512, as ours.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.neural.pairs import Array, KnownPair
from otdist.core.result import ConvergenceWarning

BUDGET = 8.0
"""CPU seconds of one fit."""

ENDLESS = 10**9
"""Steps: the clock ends the training."""


@dataclass(frozen=True)
class Figures:
    """What one method reaches.

    Attributes:
        estimate: Of W_1.
        lower: Its 95% limit, where it has one.
        cosine: Mean cosine to the optimal slopes, where these are known.
        name: Of the critic that was chosen, or the number of points.
        seconds: CPU time used.
    """

    estimate: float
    lower: float | None
    cosine: float | None
    name: str
    seconds: float


def critic(pair: KnownPair, budget: float | None, seed: int, **options: Any) -> Figures:
    """`otdist.NeuralDual` with a limit of CPU seconds, or of steps among the options."""
    from otdist.critics import NeuralDual

    begin = time.process_time()
    options = {"steps": ENDLESS, **options}
    dual = NeuralDual(seconds=budget, seed=seed, **options)
    result = dual.fit(pair.x, pair.y)
    seconds = time.process_time() - begin
    cosine = mean_cosine(result.gradient(pair.at), pair, pair.at)
    return Figures(result.estimate, result.lower, cosine, result.name, seconds)


def discrete(pair: KnownPair, budget: float, seed: int) -> Figures:
    """Exact transport of as many points as the seconds allow; slopes against its plan."""
    from otdist.distances import wasserstein
    from otdist.exact.exact import Exact
    from otdist.transport_map import barycentric_map

    begin, n, most = time.process_time(), 500, min(len(pair.x), len(pair.y))
    result, size = None, n
    while True:
        before = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = wasserstein(pair.x[:n], pair.y[:n], solver=Exact(max_seconds=4 * budget))
        now = time.process_time()
        if result is None or (found.converged and now - begin <= budget):
            result, size = found, n
        if n == most or now - begin + 5 * (now - before) > budget:
            break
        n = min(2 * n, most)
    x, y = pair.x[:size], pair.y[:size]
    cosine = mean_cosine(x - barycentric_map(result, y), pair, x)
    return Figures(float(result.distance), None, cosine, f"{size} points", now - begin)


Method = Callable[[KnownPair, float, int], Figures]
"""KnownPair, CPU seconds, seed → figures."""

METHODS: dict[str, Method] = {
    "auto": critic,
    **{name: partial(critic, critic=name) for name in ("peaks", "valleys", "sorting", "mcshane")},
    **{
        name: partial(critic, critic="relu", lipschitz=name)
        for name in ("gp", "lp", "spectral", "clip")
    },
    "exact": discrete,
}

PORTFOLIO = ("peaks", "valleys", "sorting", "mcshane")


def mean_cosine(slopes: Array, pair: KnownPair, at: Array) -> float | None:
    """Mean cosine to the optimal slopes, where there are any; where a critic is flat it is 0."""
    if pair.slope is None:
        return None
    optimal = pair.slope(at)
    length = np.linalg.norm(slopes, axis=1).clip(min=1e-12)
    return float(np.nanmean((slopes * optimal).sum(1) / length))
