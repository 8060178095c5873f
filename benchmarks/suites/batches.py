"""Many small pairs in one call, as point clouds, mini-batch couplings and columns of a table are.

The value is the mean distance of the pairs, with the mean of the brackets. The peers are loops over
the bare solvers, which prove nothing: SciPy's `linear_sum_assignment` on `cdist`, POT's `emd2`, and
SciPy's `wasserstein_distance` on the line; the same calls of otdist one by one; and POT's batches,
which are entropic. "padded" fills a third of the points up with weights of zero. Couplings of flow
matching are drawn as well, beside torchcfm's, whose draws repeat some points.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.adapters import tensors
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
    entropic = {"POT solve_sample_batch": pot_batch}
    return [
        _case("pairs", 1000, 64, 3, {**clouds, **entropic}, quick=True),
        _case("pairs", 256, 256, 3, {**clouds, **entropic}),
        _case("padded pairs", 200, 64, 3, ragged),
        _case("pairs on the line", 10_000, 100, 1, line, p=1),
        _case("weighted pairs on the line", 10_000, 100, 1, line, p=1),
        _case("pairs, slices", 64, 128, 3, {OURS: _sliced, "otdist loop": _sliced_loop}),
        *(_coupling(n, d) for n, d in ((128, 2), (256, 64), (1024, 64))),
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
        truth=None if "slices" in name else _truth,
        parameters={"pairs": count},
        quick=quick,
    )


def _truth(inputs: Inputs) -> float:
    if inputs["p"] == 1:
        return _line_loop(inputs)().value
    return (_simplex if inputs["a"] is not None else _assignments)(inputs)().value


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


def pot_batch(inputs: Inputs) -> Call:
    """`ot.batch.solve_sample_batch`: entropic, so that it needs a regularisation and has an error.

    It is 5% of the mean cost: with less, its default of 1,000 steps ends before it converges.
    """
    import ot

    x, y = inputs["x"], inputs["y"]
    eps = 0.05 * float(((x - y) ** 2).sum(-1).mean())

    def call() -> Outcome:
        found: Any = ot.batch.solve_sample_batch(x, y, reg=eps, max_iter=1000)
        return Outcome(float(np.sqrt(found.value_linear).mean()))

    return call


def _coupling(n: int, d: int) -> Case:
    return Case(
        name="pairs drawn for flow matching",
        quantity="root mean squared length",
        n=n,
        m=n,
        d=d,
        p=2,
        make=partial(minibatch, n, d),
        competitors={OURS: otdist_coupling, "torchcfm": torchcfm_coupling},
        truth=lambda inputs: (
            _assignments({"x": [inputs["x"]], "y": [inputs["y"]], "a": None, "b": None})().value
        ),
        quick=n == 128,
    )


def minibatch(n: int, d: int, seed: int) -> Inputs:
    """Noise and data of a step of training, float32."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)), rng.standard_normal((n, d)) @ np.diag(rng.random(d)) + 1
    return {"x": x.astype(np.float32), "y": y.astype(np.float32), "p": 2.0}


def otdist_coupling(inputs: Inputs) -> Call:
    """`otdist.wasserstein(...).sample(n)`: every point once."""
    import otdist

    x, y = tensors(inputs, "x", "y")

    def call() -> Outcome:
        i, j = otdist.wasserstein(x, y, p=2).sample(len(x))
        return Outcome(float((x[i] - y[j]).square().sum(1).mean()) ** 0.5)

    return call


def torchcfm_coupling(inputs: Inputs) -> Call:
    """`OTPlanSampler("exact").sample_plan`, which draws from the plan with replacement."""
    from torchcfm.optimal_transport import OTPlanSampler

    x, y = tensors(inputs, "x", "y")
    sampler = OTPlanSampler("exact")

    def call() -> Outcome:
        start, end = sampler.sample_plan(x, y)
        return Outcome(float((start - end).square().sum(1).mean()) ** 0.5)

    return call


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
