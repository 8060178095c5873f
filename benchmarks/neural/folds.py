"""Limits from all points: what K folds gain over one split, and how often their limit fails.

- *folds*: the same critic from few points, tested on one split, on 5 and on 10 folds.
- *coverage*: whole fits on fresh samples, two hundred of either. *Equal* distributions are the
  hardest case: whatever critics find there is noise, which the folds share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np

from benchmarks.experiment import Cases
from benchmarks.neural.methods import critic
from benchmarks.neural.pairs import Array, KnownPair, ray_monotone, translated
from benchmarks.records import Row
from otdist.problems import RayMonotone

SIZES = (1500, 6000)
FOLDS = (None, 5, 10)
PAIRS = {
    "ray-monotone, N = 16": (8, partial(ray_monotone, 8, 16)),
    "translated": (16, partial(translated, 16)),
}
REPEATS, POINTS = 500, 200
LAWS = ("normal, d=1", "ray-monotone, d=2", "equal, d=2")


def gains(seeds: Sequence[int]) -> Cases:
    """One row a pair, number of points, number of folds and seed."""
    for name, (d, law) in PAIRS.items():
        for seed in seeds:
            for n in SIZES:
                pair = cache(partial(_first, law, seed, n))
                for folds in FOLDS:
                    known = {"experiment": "folds", "pair": name, "d": d, "n": n, "seed": seed}
                    yield {**known, "folds": folds or 1}, partial(_gain, pair, folds, seed)


def _first(law: Callable[[int], KnownPair], seed: int, n: int) -> KnownPair:
    made = law(seed)
    return replace(made, x=made.x[:n], y=made.y[:n])


def _gain(pair: Callable[[], KnownPair], folds: int | None, seed: int) -> Row:
    made = pair()
    found = critic(made, None, seed, critic="peaks", steps=300, folds=folds)
    return {
        "truth": round(made.truth, 6),
        "estimate": round(found.estimate, 5),
        "lower": None if found.lower is None else round(found.lower, 5),
        "seconds": round(found.seconds, 3),
    }


def coverage() -> Cases:
    """One row a repeat."""
    for seed in range(REPEATS):
        for law in LAWS:
            known = {"experiment": "limit of folds", "pair": law, "seed": seed}
            yield known, partial(_limit, law, seed)


def _limit(law: str, seed: int) -> Row:
    """A whole fit on fresh samples: the limit next to the true W_1."""
    from otdist.critics import NeuralDual

    x, y, truth = _drawn(law, seed)
    result = NeuralDual("peaks", folds=5, steps=15, batch_size=64, seed=seed).fit(x, y)
    assert result.lower is not None
    return {
        "estimate": round(result.estimate, 5),
        "lower": round(result.lower, 5),
        "truth": round(truth, 5),
        "holds": result.lower <= truth,
    }


def _drawn(law: str, seed: int) -> tuple[Array, Array, float]:
    rng = np.random.default_rng([seed, 6])
    if law == LAWS[1]:
        pair = RayMonotone(2, 4)
        x, y = (pair.draw(POINTS, seed=2 * seed + k + 1)[k] for k in (0, 1))
        return x, y, _truth(pair)
    d = 1 if law == LAWS[0] else 2
    x, y = rng.standard_normal((2, POINTS, d))
    return x, y + (d == 1), float(d == 1)


@cache
def _truth(pair: RayMonotone) -> float:
    return pair.w1(2**20)[0]
