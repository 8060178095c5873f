"""The line: closed forms against SciPy, POT and the floor of two sorts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from benchmarks import adapters
from benchmarks.case import OURS, Case, Competitor, Inputs


def normal_samples(seed: int, n: int, m: int, p: float, weighted: bool) -> Inputs:
    """Draws of N(0, 1) and N(1, 1.5²), with uniform random weights when asked."""
    rng = np.random.default_rng(seed)
    inputs = {"x": rng.standard_normal(n), "y": 1 + 1.5 * rng.standard_normal(m), "p": p}
    if weighted:
        for name, size in (("a", n), ("b", m)):
            weights = rng.random(size)
            inputs[name] = weights / weights.sum()
    return inputs


def scipy_truth(inputs: Inputs) -> float | None:
    """SciPy's value for p = 1, an independent implementation; no truth for other p."""
    return adapters.scipy_line(inputs)().value if inputs["p"] == 1 else None


def competitors(p: float, equal: bool) -> Mapping[str, Competitor]:
    """Those that can do the case."""
    found: dict[str, Competitor] = {OURS: adapters.otdist_wasserstein, "POT": adapters.pot_line}
    if p == 1:
        found["SciPy"] = adapters.scipy_line
    if equal:
        found["np.sort twice"] = adapters.two_sorts
    return found


def cases() -> list[Case]:
    """Equal, unequal and weighted samples, p = 1 and 2."""
    shapes = [(10**4, 10**4, False), (10**6, 10**6, False), (10**6, 700_001, False)]
    shapes += [(10**6, 10**6, True)]
    return [
        Case(
            name="normal samples, weighted" if weighted else "normal samples",
            quantity=f"W_{p}",
            n=n,
            m=m,
            d=1,
            p=p,
            make=partial(normal_samples, n=n, m=m, p=p, weighted=weighted),
            competitors=competitors(p, equal=n == m and not weighted),
            truth=scipy_truth,
            quick=p == 1 and n == 10**6,
        )
        for p in (1, 2)
        for n, m, weighted in shapes
    ]
