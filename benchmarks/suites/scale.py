"""What an accuracy saves and how far it reaches: a proved 1% of W_2 between mixtures.

Either sample has 20 normal clusters. Up to 50,000 points the exact answer runs beside it.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.adapters import otdist_wasserstein
from benchmarks.case import OURS, Case, Competitor, Inputs

RTOL = 0.01
LONG = 300.0  # seconds for the largest
BOTH_LIMIT = 50_000  # points up to which the exact answer runs beside


def cases() -> list[Case]:
    """All cases of the suite."""
    small = [(n, d) for n in (5000, 20_000) for d in (2, 10, 64)]
    middle = [(50_000, d) for d in (2, 10, 64)]
    return [*(mixture_case(n, d) for n, d in small + middle), mixture_case(200_000, 3, LONG)]


def mixtures(n: int, d: int, seed: int) -> Inputs:
    """Two mixtures of 20 normal clusters each, with centres of their own."""
    rng = np.random.default_rng(seed)

    def draw() -> np.ndarray:
        centres, spreads = 2 * rng.normal(size=(20, d)), rng.uniform(0.3, 1, size=20)
        label = rng.integers(20, size=n)
        return centres[label] + spreads[label, None] * rng.normal(size=(n, d))

    return {"x": draw(), "y": draw(), "p": 2.0}


def mixture_case(n: int, d: int, limit: float = 0.0) -> Case:
    """To an accuracy of 1%, beside the exact answer where that ends soon."""
    competitors: dict[str, Competitor] = {OURS: partial(otdist_wasserstein, rtol=RTOL)}
    if n <= BOTH_LIMIT:
        competitors["otdist, exact"] = otdist_wasserstein
    return Case(
        name="mixtures to 1%",
        quantity="W_2",
        n=n,
        m=n,
        d=d,
        p=2,
        make=partial(mixtures, n, d),
        competitors=competitors,
        truth=lambda inputs: None,
        quick=n <= 5000,
        limit=limit,
    )
