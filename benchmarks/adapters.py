"""One small function a library: prepare the inputs for it, return the call to be timed.

All of them return W_p (the root) of inputs x, y, a, b, p, unless the name says otherwise.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.case import Call, Inputs, Outcome


def tensors(inputs: Inputs, *names: str) -> list[Any]:
    """The named arrays as torch tensors on the device of the run."""
    import torch

    return [torch.as_tensor(inputs[name], device=inputs["device"]) for name in names]


def arrays(inputs: Inputs, *names: str) -> list[Any]:
    """The named arrays for a call of ours: numpy on the CPU, tensors on a device."""
    if inputs["device"] == "cpu":
        return [inputs.get(name) for name in names]
    present = [name for name in names if inputs.get(name) is not None]
    moved = dict(zip(present, tensors(inputs, *present), strict=True))
    return [moved.get(name) for name in names]


def otdist_wasserstein(inputs: Inputs, **options: Any) -> Call:
    """`otdist.wasserstein`, certificate included."""
    import otdist

    x, y, a, b = arrays(inputs, "x", "y", "a", "b")
    otdist.wasserstein([[0.0, 0.0]], [[1.0, 1.0]])  # what is imported lazily is imported now

    def call() -> Outcome:
        result = otdist.wasserstein(x, y, a=a, b=b, p=inputs["p"], **options)
        return Outcome(float(result.distance), result.lower, result.upper, result.converged)

    return call


def otdist_balanced(inputs: Inputs) -> Call:
    """The time of the same samples' W_p where another distance is the subject: without a value."""
    solve = otdist_wasserstein(inputs)

    def call() -> Outcome:
        solve()
        return Outcome(math.nan)

    return call


def scipy_line(inputs: Inputs) -> Call:
    """`scipy.stats.wasserstein_distance`: the line, p = 1."""
    from scipy.stats import wasserstein_distance

    x, y = inputs["x"].ravel(), inputs["y"].ravel()
    return lambda: Outcome(wasserstein_distance(x, y, inputs.get("a"), inputs.get("b")))


def pot_line(inputs: Inputs) -> Call:
    """`ot.wasserstein_1d`, which returns the p-th power."""
    import ot

    x, y, p = inputs["x"].ravel(), inputs["y"].ravel(), inputs["p"]
    a, b = inputs.get("a"), inputs.get("b")
    return lambda: Outcome(np.asarray(ot.wasserstein_1d(x, y, a, b, p=p)).item() ** (1 / p))


def two_sorts(inputs: Inputs) -> Call:
    """Two `np.sort` calls: the floor of any method that sorts; no value."""
    x, y = inputs["x"].ravel(), inputs["y"].ravel()

    def call() -> Outcome:
        np.sort(x)
        np.sort(y)
        return Outcome(math.nan)

    return call


def pot_emd2(inputs: Inputs) -> Call:
    """`ot.dist` and `ot.emd2`: exact, dense."""
    import ot

    x, y, p = inputs["x"], inputs["y"], inputs["p"]
    a = ot.unif(len(x)) if inputs.get("a") is None else inputs["a"]
    b = ot.unif(len(y)) if inputs.get("b") is None else inputs["b"]

    def call() -> Outcome:
        cost = ot.dist(x, y, "sqeuclidean" if p == 2 else "euclidean")
        if p not in (1, 2):
            cost **= p
        return Outcome(np.asarray(ot.emd2(a, b, cost, numItermax=10**8)).item() ** (1 / p))

    return call


def scipy_assignment(inputs: Inputs) -> Call:
    """`cdist` and `linear_sum_assignment`: exact for uniform weights and n = m."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    x, y, p = inputs["x"], inputs["y"], inputs["p"]

    def call() -> Outcome:
        cost = cdist(x, y, "sqeuclidean" if p == 2 else "euclidean")
        if p not in (1, 2):
            cost **= p
        return Outcome(float(cost[linear_sum_assignment(cost)].mean()) ** (1 / p))

    return call
