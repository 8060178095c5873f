"""What exact transport is made of, part by part: restricted problem, pricing pass, start, fallback.

The restricted problem has the twelve pairs of smallest reduced cost of every point, by Sinkhorn's
potentials, and the arcs of an optimal plan, so that its optimum is that of all pairs. The page on
exact transport speaks of these figures.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import scipy.sparse

from benchmarks.adapters import otdist_wasserstein, pot_emd2
from benchmarks.case import OURS, Call, Case, Competitor, Inputs, Outcome
from benchmarks.suites.exact import clouds


def cases() -> list[Case]:
    """All cases of the suite."""
    simplex: dict[str, Competitor] = {
        OURS: _simplex,
        "ot.emd, sparse": _public_simplex,
        "HiGHS dual simplex": partial(_highs, method="highs-ds"),
        "HiGHS interior point": partial(_highs, method="highs-ipm"),
    }
    pricing: dict[str, Competitor] = {OURS: _pass, "k-d tree, lifted": _tree}
    start: dict[str, Competitor] = {OURS: _warm, "otdist, from nothing": _cold}
    fallback: dict[str, Competitor] = {OURS: otdist_wasserstein, "otdist, full matrix": _full}
    far: dict[str, Competitor] = {OURS: otdist_wasserstein, "POT emd2": pot_emd2}
    return [
        *(_case("restricted problem", "W_2", 2000, d, simplex, _restricted) for d in (2, 10)),
        _case("pricing pass", "", 10_000, 10, pricing),
        _case("from a nearby result", "W_2", 4000, 10, start, _nearby),
        _case("normal clouds", "W_2", 500, 8, fallback, quick=True),
        _case("tight clusters", "W_2", 3000, 2, far, _clusters),
    ]


def _case(
    name: str,
    quantity: str,
    n: int,
    d: int,
    competitors: dict[str, Competitor],
    make: Any = None,
    quick: bool = False,
) -> Case:
    return Case(
        name=name,
        quantity=quantity,
        n=n,
        m=n,
        d=d,
        p=2,
        make=partial(make or clouds, n, d, 2.0),
        competitors=competitors,
        truth=lambda inputs: inputs.get("truth"),
        quick=quick,
    )


def _restricted(n: int, d: int, p: float, seed: int) -> Inputs:
    import otdist

    inputs = clouds(n, d, p, seed)
    x, y = inputs["x"], inputs["y"]
    cost = ((x[:, None] - y) ** 2).sum(-1)
    f, g = otdist.wasserstein(x, y, p=p, solver=otdist.Sinkhorn(eps=0.003 * cost.mean())).potentials
    exact = otdist.wasserstein(x, y, p=p)
    reduced = cost - f[:, None] - g
    keep = np.zeros((n, n), dtype=bool)
    np.put_along_axis(keep, np.argpartition(reduced, 12, axis=1)[:, :12], True, axis=1)
    np.put_along_axis(keep, np.argpartition(reduced, 12, axis=0)[:12], True, axis=0)
    keep |= np.asarray(exact.plan.todense()) > 0
    rows, cols = np.nonzero(keep)
    arcs = {"rows": rows, "cols": cols, "costs": cost[rows, cols], "reduced": reduced[rows, cols]}
    return {"weights": np.full(n, 1 / n), "truth": exact.distance, **arcs}


def _simplex(inputs: Inputs) -> Call:
    """The compiled routine of POT, in reduced costs."""
    from otdist.exact.network_simplex import solve_sparse

    weights, rows, cols = inputs["weights"], inputs["rows"], inputs["cols"]
    costs = scipy.sparse.csr_matrix((inputs["costs"], (rows, cols)))
    solve_sparse(np.ones(1), np.ones(1), np.zeros(1, int), np.zeros(1, int), np.ones(1))

    def call() -> Outcome:
        flow = solve_sparse(weights, weights, rows, cols, inputs["reduced"])
        price = np.asarray(costs[flow.rows, flow.cols]).ravel()
        return Outcome(float(flow.mass @ price) ** 0.5)

    return call


def _public_simplex(inputs: Inputs) -> Call:
    import ot

    weights = inputs["weights"]
    matrix = scipy.sparse.coo_matrix((inputs["costs"], (inputs["rows"], inputs["cols"])))

    def call() -> Outcome:
        _, log = ot.emd(weights, weights, matrix, numItermax=10**8, log=True)
        return Outcome(float(log["cost"]) ** 0.5)

    return call


def _highs(inputs: Inputs, *, method: str) -> Call:
    from scipy.optimize import linprog

    weights, rows, cols, costs = (inputs[k] for k in ("weights", "rows", "cols", "costs"))
    arcs, n = np.arange(len(rows)), len(weights)
    ends = (np.concatenate([rows, n + cols]), np.concatenate([arcs, arcs]))
    incidence = scipy.sparse.csr_matrix((np.ones(2 * len(rows)), ends))
    masses = np.concatenate([weights, weights])
    return lambda: Outcome(linprog(costs, A_eq=incidence, b_eq=masses, method=method).fun ** 0.5)


def _pass(inputs: Inputs) -> Call:
    """Every pair against the potentials 0: one pass in float32."""
    import torch

    from otdist.core.point_cost import PointCost
    from otdist.exact.pricing import Pricer

    x, y = torch.from_numpy(inputs["x"]), torch.from_numpy(inputs["y"])
    zero, pricer = torch.zeros(len(x), dtype=torch.float64), Pricer(PointCost(x, y, 2))

    def call() -> Outcome:
        pricer.below(zero, zero, 0.0, len(x))
        return Outcome(float("nan"))

    return call


def _tree(inputs: Inputs) -> Call:
    """The nearest of every point, in one more dimension as potentials demand."""
    import torch
    from scipy.spatial import KDTree

    x, y = (np.pad(inputs[name], ((0, 0), (0, 1))) for name in ("x", "y"))
    y[:, -1] = np.random.default_rng(0).random(len(y))

    def call() -> Outcome:
        KDTree(y).query(x, k=1, workers=torch.get_num_threads())
        return Outcome(float("nan"))

    return call


def _nearby(n: int, d: int, p: float, seed: int) -> Inputs:
    inputs = clouds(n, d, p, seed)
    step = 0.01 * np.random.default_rng(seed + 1).normal(size=(n, d))
    return {**inputs, "before": inputs["x"] - step}


def _warm(inputs: Inputs) -> Call:
    import otdist

    earlier = otdist.wasserstein(inputs["before"], inputs["y"], p=2)
    return otdist_wasserstein(inputs, start=earlier)


def _cold(inputs: Inputs) -> Call:
    return otdist_wasserstein(inputs)


def _full(inputs: Inputs) -> Call:
    """The full matrix at sizes where column generation comes first."""
    import otdist
    from otdist.exact.limits import Sizes

    pairs = len(inputs["x"]) * len(inputs["y"])
    return otdist_wasserstein(inputs, solver=otdist.Exact(_sizes=Sizes(matrix_pairs=pairs)))


def _clusters(n: int, d: int, p: float, seed: int) -> Inputs:
    """Ten tight clusters far apart, with other shares of the points on either side."""
    rng = np.random.default_rng(seed)
    centres = 100 * rng.normal(size=(10, d))
    x, y = (centres[rng.integers(10, size=n)] + 1e-3 * rng.normal(size=(n, d)) for _ in range(2))
    return {"x": x, "y": y, "p": p}
