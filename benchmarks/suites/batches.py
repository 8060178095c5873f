"""Many small pairs in one call, as point clouds, mini-batch couplings and columns of a table are.

The value is the mean distance of the pairs, with the mean of the brackets. The peers are loops over
the bare solvers, which prove nothing: SciPy's `linear_sum_assignment` on `cdist`, POT's `emd2`, and
SciPy's `wasserstein_distance` on the line; or the same calls of otdist one by one. "padded" fills a
third of the points up with weights of zero.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.case import OURS, Call, Case, Competitor, Inputs, Outcome


def cases() -> list[Case]:
    """Pairs of clouds, ragged ones, and pairs on the line."""
    clouds: dict[str, Competitor] = {
        OURS: _ours,
        "otdist, one by one": _one_by_one,
        "SciPy assignment loop": _assignments,
    }
    line = {OURS: _ours, "SciPy loop": _line_loop}
    ragged = {OURS: _ours, "otdist, one by one": _one_by_one, "POT emd2 loop": _simplex}
    return [
        _case("pairs", 1000, 64, 3, clouds, quick=True),
        _case("pairs", 256, 256, 3, clouds),
        _case("padded pairs", 200, 64, 3, ragged),
        _case("pairs on the line", 10_000, 100, 1, line, p=1),
        _case("weighted pairs on the line", 10_000, 100, 1, line, p=1),
        _case("pairs, slices", 64, 128, 3, {OURS: _sliced, "otdist loop": _sliced_loop}),
    ]


def samples(name: str, count: int, n: int, d: int, p: float, seed: int) -> Inputs:
    """Normal clouds (count, n, d), with weights where the name says so."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, count, n, d))
    found: dict[str, Any] = {"x": x, "y": y + 0.3, "a": None, "b": None, "p": p}
    if "weighted" in name:
        found["a"], found["b"] = rng.dirichlet(np.ones(n), (2, count))
    if "padded" in name:
        sizes = rng.integers(n // 3, n + 1, (2, count, 1))
        found["a"], found["b"] = (np.arange(n) < sizes) / sizes
    return found


def _case(
    name: str, count: int, n: int, d: int, competitors: dict[str, Competitor], p: float = 2,
    quick: bool = False,
) -> Case:  # fmt: skip
    quantity = f"mean {'SW' if 'slices' in name else 'W'}_{p:g}"
    return Case(
        name=name,
        quantity=quantity,
        n=n,
        m=n,
        d=d,
        p=p,
        make=partial(samples, name, count, n, d, p),
        competitors=competitors,
        parameters={"pairs": count},
        quick=quick,
    )


def _ours(inputs: Inputs) -> Call:
    import otdist

    function: Any = otdist.wasserstein
    given = {k: inputs[k] for k in ("x", "y", "a", "b", "p")}
    few = {k: v if k == "p" or v is None else v[:4] for k, v in given.items()}
    function(**few)  # imports and threads

    def call() -> Outcome:
        found = function(**given)
        ends = float(found.lower.mean()), float(found.upper.mean())
        return Outcome(float(found.distance.mean()), *ends, bool(found.converged.all()))

    return call


def _pairs(inputs: Inputs, distance: Callable[..., float]) -> Outcome:
    sides = ([None] * len(inputs["x"]) if inputs[k] is None else inputs[k] for k in "xyab")
    return Outcome(float(np.mean([distance(*pair) for pair in zip(*sides, strict=True)])))


def _one_by_one(inputs: Inputs) -> Call:
    import otdist

    def distance(x: Any, y: Any, a: Any, b: Any) -> float:
        return float(otdist.wasserstein(x, y, a=a, b=b, p=inputs["p"]))

    return lambda: _pairs(inputs, distance)


def _assignments(inputs: Inputs) -> Call:
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    def distance(x: Any, y: Any, a: Any, b: Any) -> float:
        costs = cdist(x, y, "sqeuclidean")
        return float(costs[linear_sum_assignment(costs)].mean() ** 0.5)

    return lambda: _pairs(inputs, distance)


def _simplex(inputs: Inputs) -> Call:
    import ot

    def distance(x: Any, y: Any, a: Any, b: Any) -> float:
        rows, cols = a > 0, b > 0
        value = ot.emd2(a[rows], b[cols], ot.dist(x[rows], y[cols]))
        return float(np.asarray(value)) ** 0.5

    return lambda: _pairs(inputs, distance)


def _line_loop(inputs: Inputs) -> Call:
    from scipy.stats import wasserstein_distance

    def distance(x: Any, y: Any, a: Any, b: Any) -> float:
        return float(wasserstein_distance(x[:, 0], y[:, 0], a, b))

    return lambda: _pairs(inputs, distance)


def _sliced(inputs: Inputs) -> Call:
    import otdist

    found = partial(otdist.sliced_wasserstein, inputs["x"], inputs["y"], p=inputs["p"])

    def call() -> Outcome:
        result: Any = found()
        return Outcome(float(result.distance.mean()))

    return call


def _sliced_loop(inputs: Inputs) -> Call:
    import otdist

    def distance(x: Any, y: Any, a: Any, b: Any) -> float:
        return float(otdist.sliced_wasserstein(x, y, p=inputs["p"]))

    return lambda: _pairs(inputs, distance)
