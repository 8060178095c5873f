"""How often the certificates hold: brackets on given samples, confidence limits on laws.

- *bracket*: random problems, weighted and unweighted, trained by certified and uncertified
  critics. The bracket has to contain exact W_1 to 1e-6, relative.
- *limit*: the same law again and again, a whole fit each. The 95% limit may exceed W_1 in 5% of
  the repeats; the critic nearly attains W_1 there, so that it is not much rarer either.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from benchmarks.experiment import Cases
from benchmarks.records import Row
from otdist.problems import RayMonotone

BRACKETS, LIMITS = 200, 500
"""Repeats of the two experiments."""

KINDS = (("peaks", "certified"), ("valleys", "certified"), ("sorting", "certified"), ("relu", "gp"))
LAWS = ("normal, d=1", "ray-monotone, d=2")


def cases() -> Cases:
    """Both experiments, one row a repeat."""
    for seed in range(BRACKETS):
        yield {"experiment": "bracket", "seed": seed}, partial(bracket, seed)
    for seed in range(LIMITS):
        for law in LAWS:
            yield {"experiment": "limit", "pair": law, "seed": seed}, partial(limit, law, seed)


def bracket(seed: int) -> Row:
    """A random problem and a short training: exact W_1 next to the bracket."""
    from otdist.critics import NeuralDual
    from otdist.distances import wasserstein

    rng = np.random.default_rng(seed)
    n, m, d = (int(k) for k in rng.integers([5, 5, 1], [150, 150, 12]))
    x = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-3, 3)
    y = x[rng.integers(n, size=m)] * rng.uniform(0.1, 3) + rng.standard_normal(d)
    a, b = (rng.dirichlet(np.ones(k)) if seed % 2 else None for k in (n, m))
    name, handling = KINDS[seed % len(KINDS)]
    dual = NeuralDual(name, lipschitz=handling, steps=10, batch_size=64, seed=seed)  # pyright: ignore[reportArgumentType]
    found = dual.fit(x, y, a, b).bracket
    exact = float(wasserstein(x, y, a=a, b=b).distance)
    inside = found.lower <= exact * (1 + 1e-6) and exact <= found.upper * (1 + 1e-6)
    return {"lower": found.lower, "upper": found.upper, "exact": exact, "holds": inside}


@cache
def _truth(pair: RayMonotone) -> float:
    return pair.w1(2**20)[0]


def limit(law: str, seed: int) -> Row:
    """A whole fit on fresh samples: the limit next to the true W_1."""
    from otdist.critics import NeuralDual

    rng = np.random.default_rng([seed, 5])
    if law == LAWS[0]:
        x, y, truth = rng.standard_normal(3000), rng.standard_normal(3000) + 1, 1.0
    else:
        pair = RayMonotone(2, 4)
        x, y = pair.draw(3000, seed=2 * seed + 1)[0], pair.draw(3000, seed=2 * seed + 2)[1]
        truth = _truth(pair)
    result = NeuralDual("peaks", steps=100, seed=seed).fit(x, y)
    assert result.lower is not None
    return {
        "estimate": result.estimate,
        "lower": result.lower,
        "truth": truth,
        "holds": result.lower <= truth,
    }
