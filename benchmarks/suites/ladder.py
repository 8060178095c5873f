"""What an error costs: W_p by every library at settings from rough to exact, one problem a case.

A competitor is a library at one setting; `benchmarks.ladder` shows, for each problem, the least
time with which anybody comes within 10%, 1% and 0.1% of the truth, and the exact answer. Where a
library returns a plan or potentials, `otdist.certify` proves a bracket of them, outside the time.
The regularisation is a share of the mean cost. GeomLoss and OTT-JAX return the debiased divergence,
which comes nearer to W_p than their entropic cost; POT the cost of its plan. The truth is POT's
optimum up to 2,000 points and, beyond, an exact answer of ours, whose bracket is closed.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from benchmarks.adapters import otdist_wasserstein, pot_emd2, tensors
from benchmarks.case import OURS, Call, Case, Competitor, Inputs, Outcome
from benchmarks.suites.exact import clouds

SHARES = (0.1, 0.01, 0.001)
ROUGH = (0.1, 0.01)
"""Shares of the mean cost that the others are tried at: their steps grow with its inverse."""
RTOLS = (0.1, 0.01, 0.001)
DENSE = 2000
"""Points up to which dense matrices and their proofs take seconds."""
LIMIT = 30.0


def cases() -> list[Case]:
    """Few and many dimensions, p = 1 and 2, and more points than a matrix has room for."""
    problems = [(1000, 2, 2.0), (2000, 10, 2.0), (2000, 64, 2.0), (2000, 10, 1.0), (10_000, 3, 2.0)]
    return [_case(n, d, p, quick=n == 1000) for n, d, p in problems]


def _case(n: int, d: int, p: float, quick: bool) -> Case:
    found: dict[str, Competitor] = {OURS: otdist_wasserstein}
    found |= {f"otdist, rtol {r:g}": partial(otdist_wasserstein, rtol=r) for r in RTOLS}
    found |= {f"otdist, Sinkhorn {s:g}": partial(otdist_sinkhorn, share=s) for s in SHARES}
    found |= {f"otdist, {count} slices": partial(otdist_sliced, count=count) for count in (64, 512)}
    if n <= DENSE:
        found |= {"POT emd": pot_plan, "SciPy assignment": scipy_plan}
        found |= {f"POT sinkhorn_log {s:g}": partial(pot_sinkhorn, share=s) for s in ROUGH}
        found |= {f"GeomLoss {s:g}": partial(geomloss, share=s) for s in SHARES}
    else:
        found |= {f"POT lazy {s:g}": partial(pot_lazy, share=s) for s in ROUGH}
        online = partial(geomloss, backend="online")
        found |= {f"GeomLoss online {s:g}": partial(online, share=s) for s in ROUGH}
    if p == 2:
        found |= {f"OTT-JAX {s:g}": partial(ott, share=s) for s in ROUGH}
    return Case(
        name="normal clouds, at any error",
        quantity=f"W_{p:g}",
        n=n,
        m=n,
        d=d,
        p=p,
        make=partial(clouds, n, d, p),
        competitors=found,
        truth=_truth,
        quick=quick,
        limit=LIMIT,
    )


def _truth(inputs: Inputs) -> float:
    solve = pot_emd2 if len(inputs["x"]) <= DENSE else otdist_wasserstein
    return solve({**inputs, "device": "cpu"})().value


def _eps(inputs: Inputs, share: float) -> float:
    """A share of the mean of d(x, y)^p, from a thousand pairs."""
    rng = np.random.default_rng(0)
    i, j = rng.integers(len(inputs["x"]), size=(2, 1000))
    lengths = np.linalg.norm(inputs["x"][i] - inputs["y"][j], axis=1)
    return share * float((lengths ** inputs["p"]).mean())


def otdist_sinkhorn(inputs: Inputs, share: float) -> Call:
    """`otdist.wasserstein(solver=Sinkhorn(eps))`."""
    import otdist

    return otdist_wasserstein(inputs, solver=otdist.Sinkhorn(eps=_eps(inputs, share)))


def otdist_sliced(inputs: Inputs, count: int) -> Call:
    """`otdist.wasserstein(solver=Sliced)`: the best of plans along lines."""
    import otdist

    return otdist_wasserstein(inputs, solver=otdist.Sliced(n_projections=count))


def _certified(inputs: Inputs, value: float, **evidence: Any) -> Outcome:
    """A value now, and later its bracket from a plan or potentials."""

    def late() -> Outcome:
        import otdist

        found = otdist.certify(inputs["x"], inputs["y"], p=inputs["p"], **evidence)
        upper = found.upper if math.isfinite(found.upper) else None
        return Outcome(value, found.lower, upper)

    return Outcome(value, late=late)


def _cost(inputs: Inputs) -> np.ndarray:
    import ot

    if inputs["p"] == 2:
        return np.asarray(ot.dist(inputs["x"], inputs["y"], "sqeuclidean"))
    return np.asarray(ot.dist(inputs["x"], inputs["y"], "euclidean"))


def pot_plan(inputs: Inputs) -> Call:
    """`ot.emd` with its plan and duals."""
    import ot

    a, p = ot.unif(len(inputs["x"])), inputs["p"]

    def call() -> Outcome:
        plan, log = ot.emd(a, a, _cost(inputs), numItermax=10**8, log=True)
        value = float(log["cost"]) ** (1 / p)
        return _certified(inputs, value, plan=plan, potentials=(log["u"], log["v"]))

    return call


def scipy_plan(inputs: Inputs) -> Call:
    """`linear_sum_assignment` on `ot.dist`, a permutation without duals."""
    from scipy.optimize import linear_sum_assignment

    def call() -> Outcome:
        cost = _cost(inputs)
        rows, cols = linear_sum_assignment(cost)
        value = float(cost[rows, cols].mean()) ** (1 / inputs["p"])
        return _certified(inputs, value, plan=cols)

    return call


def pot_sinkhorn(inputs: Inputs, share: float) -> Call:
    """`ot.bregman.sinkhorn_log`: the cost of its plan, which the bracket rests on as well."""
    import ot

    a, eps, p = ot.unif(len(inputs["x"])), _eps(inputs, share), inputs["p"]

    def call() -> Outcome:
        cost = _cost(inputs)
        plan, log = ot.bregman.sinkhorn_log(a, a, cost, eps, numItermax=5000, log=True)
        value = float((plan * cost).sum()) ** (1 / p)
        duals = eps * np.asarray(log["log_u"]), eps * np.asarray(log["log_v"])
        return _certified(inputs, value, plan=plan, potentials=duals)

    return call


def pot_lazy(inputs: Inputs, share: float) -> Call:
    """`ot.solve_sample(lazy=True)`, which never holds the matrix."""
    import ot

    eps, p = _eps(inputs, share), inputs["p"]
    metric = "sqeuclidean" if p == 2 else "euclidean"

    def call() -> Outcome:
        found = ot.solve_sample(
            inputs["x"], inputs["y"], metric=metric, reg=eps, lazy=True, batch_size=1000
        )
        return Outcome(float(np.asarray(found.value_linear)) ** (1 / p))

    return call


def geomloss(inputs: Inputs, share: float, backend: str = "tensorized") -> Call:
    """`geomloss.SamplesLoss`, debiased; at p = 2 its cost is halved, and so is eps."""
    from geomloss import SamplesLoss

    x, y = tensors(inputs, "x", "y")
    p, half = inputs["p"], 2 if inputs["p"] == 2 else 1
    blur = (_eps(inputs, share) / half) ** (1 / p)
    loss = SamplesLoss("sinkhorn", p=int(p), blur=blur, scaling=0.9, backend=backend)
    return lambda: Outcome((half * float(loss(x, y))) ** (1 / p))


def ott(inputs: Inputs, share: float) -> Call:
    """OTT's `sinkhorn_divergence`, jitted and compiled before; a bracket from its potentials."""
    import jax
    import jax.numpy as jnp
    from ott.geometry import pointcloud
    from ott.tools.sinkhorn_divergence import sinkhorn_divergence

    x, y = jnp.asarray(inputs["x"]), jnp.asarray(inputs["y"])
    batch = None if len(x) <= DENSE else 1000
    options: dict[str, Any] = {"epsilon": _eps(inputs, share), "batch_size": batch}

    @jax.jit
    def solve(x: Any, y: Any) -> Any:
        value, found = sinkhorn_divergence(pointcloud.PointCloud, x, y, **options)
        return value, found.potentials[0]

    solve(x, y)[0].block_until_ready()

    def call() -> Outcome:
        value, (f, g) = solve(x, y)
        root = max(float(value), 0.0) ** 0.5
        return _certified(inputs, root, potentials=(np.asarray(f, float), np.asarray(g, float)))

    return call
