"""Exact transport against POT's simplex and SciPy's assignment: crossover, growth, large samples.

Normal clouds with different means and spreads: no structure that anybody could exploit. Weights are
uniform and n = m, so that transport is an assignment; SciPy solves it by another algorithm, which
is the truth up to 2,000 points. Above, the truth is POT's optimum, up to 4,000.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.adapters import otdist_wasserstein, pot_emd2, scipy_assignment
from benchmarks.case import OURS, Case, Competitor, Inputs

POT_LIMIT = 10_000  # points of POT's dense matrix that fit beside ours
TRUTH_LIMIT = 4000  # points that POT solves in seconds
ASSIGNMENT_LIMIT = 2000  # points that SciPy solves in seconds


def cases() -> list[Case]:
    """All cases of the suite."""
    least = [(n, d, 2.0) for n in (16, 64, 128, 256, 512) for d in (2, 64)]
    small = [(n, d, 2.0) for n in (100, 300, 500, 700, 1000, 2000) for d in (2, 10)]
    middle = [(4000, d, p) for d in (2, 10, 50) for p in (2.0, 1.0)]
    upper = [(10_000, d, p) for d in (2, 10) for p in (2.0, 1.0)]
    wide = [(10_000, d, 2.0) for d in (784, 2048)]
    large = [(20_000, 3, 2.0), (20_000, 10, 2.0), (50_000, 10, 2.0)]
    return [_case(n, d, p) for n, d, p in least + small + middle + upper + wide + large] + [
        _weighted()
    ]


def clouds(n: int, d: int, p: float, seed: int) -> Inputs:
    """Two normal clouds."""
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(n, d)), "y": 1.2 * rng.normal(size=(n, d)) + 0.5, "p": p}


def _case(n: int, d: int, p: float) -> Case:
    competitors: dict[str, Competitor] = {OURS: otdist_wasserstein}
    if n <= POT_LIMIT and d <= 64:
        competitors["POT emd2"] = pot_emd2
    if n <= ASSIGNMENT_LIMIT:
        competitors["SciPy assignment"] = scipy_assignment
    return Case(
        name="normal clouds",
        quantity=f"W_{p:g}",
        n=n,
        m=n,
        d=d,
        p=p,
        make=partial(clouds, n, d, p),
        competitors=competitors,
        truth=_truth,
        quick=n <= 1000,
    )


def _truth(inputs: Inputs) -> float | None:
    n = len(inputs["x"])
    if n > TRUTH_LIMIT:
        return None
    return (scipy_assignment if n <= ASSIGNMENT_LIMIT else pot_emd2)(inputs)().value


def weighted(n: int, m: int, d: int, seed: int) -> Inputs:
    """Random weights over twelve orders of magnitude, n ≠ m."""
    rng = np.random.default_rng(seed)
    a, b = (10 ** rng.uniform(-12, 0, k) for k in (n, m))
    x, y = rng.normal(size=(n, d)), 1.2 * rng.normal(size=(m, d)) + 0.5
    return {"x": x, "y": y, "a": a / a.sum(), "b": b / b.sum(), "p": 2.0}


def _weighted() -> Case:
    n, m, d = 4000, 3000, 5
    return Case(
        name="weights over twelve orders",
        quantity="W_2",
        n=n,
        m=m,
        d=d,
        p=2,
        make=partial(weighted, n, m, d),
        competitors={OURS: otdist_wasserstein, "POT emd2": pot_emd2},
        truth=lambda inputs: pot_emd2(inputs)().value,
    )
