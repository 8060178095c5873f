"""Ground metrics: exact W_1 against POT on SciPy's distances, the circle, a custom function.

Beside the metric stands our own Euclidean time on the same samples, and for a function of the
caller's that of its built-in twin: what a metric may cost more.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from benchmarks.adapters import arrays, otdist_balanced, otdist_wasserstein
from benchmarks.case import OURS, Call, Case, Competitor, Inputs, Outcome
from benchmarks.suites.exact import clouds

NAMES = ("cityblock", "chebyshev", "angular")
POT_LIMIT = 4000  # points that POT solves in seconds
TURN = 2 * math.pi


def cases() -> list[Case]:
    """All cases of the suite."""
    sizes = [(n, d) for n in (300, 1000, 4000) for d in (3, 10)] + [(10_000, 10)]
    found = [_cloud(name, n, d) for n, d in sizes for name in NAMES]
    found += [_circle(n, p) for n in (10**4, 10**5) for p in (1.0, 1.5, 2.0)]
    return [*found, _custom(2000, 10), _sphere(2000), _sphere(10_000)]


def _cloud(metric: str, n: int, d: int) -> Case:
    competitors: dict[str, Competitor] = {
        OURS: partial(otdist_wasserstein, metric=metric),
        "otdist, Euclidean": otdist_balanced,
    }
    if n <= POT_LIMIT:
        competitors["POT emd2"] = partial(pot_metric, metric=metric)
    return Case(
        name=f"normal clouds, {metric}", quantity="W_1", n=n, m=n, d=d, p=1,
        make=partial(clouds, n, d, 1.0), competitors=competitors,
        truth=partial(_truth, metric=metric), quick=n <= 300,
    )  # fmt: skip


def pot_metric(inputs: Inputs, metric: str) -> Call:
    """`ot.dist` (for angles the arccos of its cosines) and `ot.emd2`."""
    import ot

    x, y = inputs["x"], inputs["y"]

    def call() -> Outcome:
        if metric == "angular":
            cost = np.arccos(np.clip(1 - ot.dist(x, y, "cosine"), -1, 1))
        else:
            cost = ot.dist(x, y, metric)
        weights = ot.unif(len(x)), ot.unif(len(y))
        return Outcome(np.asarray(ot.emd2(*weights, cost, numItermax=10**8)).item())

    return call


def _truth(inputs: Inputs, metric: str) -> float | None:
    return pot_metric(inputs, metric)().value if len(inputs["x"]) <= POT_LIMIT else None


def angles(n: int, p: float, seed: int) -> Inputs:
    """Two samples on the circle, neither of them even."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), rng.normal(2, 1.5, size=n)
    return {"x": x % TURN, "y": y % TURN, "p": p}


def _circle(n: int, p: float) -> Case:
    return Case(
        name="the circle", quantity=f"W_{p:g}", n=n, m=n, d=1, p=p,
        make=partial(angles, n, p), competitors={OURS: otdist_circle, "POT": pot_circle},
        truth=lambda inputs: pot_circle(inputs)().value if p == 1 else None,
    )  # fmt: skip


def otdist_circle(inputs: Inputs) -> Call:
    """`otdist.wasserstein` on the circle."""
    from otdist import metrics

    return otdist_wasserstein(inputs, metric=metrics.Periodic(TURN))


def pot_circle(inputs: Inputs) -> Call:
    """`ot.wasserstein_circle`, which counts in turns and returns the p-th power."""
    import ot

    x, y, p = inputs["x"] / TURN, inputs["y"] / TURN, inputs["p"]

    def call() -> Outcome:
        return Outcome(float(np.asarray(ot.wasserstein_circle(x, y, p=p)).item()) ** (1 / p) * TURN)

    return call


def _custom(n: int, d: int) -> Case:
    def ours(inputs: Inputs) -> Call:
        return otdist_wasserstein(inputs, metric=lambda x, y: (x[:, None] - y).abs().sum(2))

    twin = partial(otdist_wasserstein, metric="cityblock")
    return Case(
        name="a function against its built-in twin", quantity="W_1", n=n, m=n, d=d, p=1,
        make=partial(clouds, n, d, 1.0), competitors={OURS: ours, "otdist, cityblock": twin},
    )  # fmt: skip


def directions(n: int, seed: int) -> Inputs:
    """Two samples of unit vectors in space."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 3)), rng.normal(size=(n, 3)) + 0.5
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    return {"x": x, "y": y, "p": 2.0}


def _sphere(n: int) -> Case:
    return Case(
        name="unit vectors, 256 great circles", quantity="SSW_2", n=n, m=n, d=3, p=2,
        make=partial(directions, n), competitors={OURS: otdist_sphere, "POT": pot_sphere},
    )  # fmt: skip


def otdist_sphere(inputs: Inputs) -> Call:
    """`otdist.spherical_sliced_wasserstein`."""
    import otdist

    x, y = arrays(inputs, "x", "y")
    solve = partial(otdist.spherical_sliced_wasserstein, x, y, p=2, n_projections=256)
    return lambda: Outcome(float(solve().distance))


def pot_sphere(inputs: Inputs) -> Call:
    """`ot.sliced_wasserstein_sphere`, which counts in turns."""
    import ot

    solve = partial(
        ot.sliced_wasserstein_sphere, inputs["x"], inputs["y"], n_projections=256, p=2, seed=0
    )
    return lambda: Outcome(np.asarray(solve()).item() * TURN)
