r"""Free-support barycenters: points with fixed weights move to where exact plans pull them.

With the plans P_i from the support to the samples held fixed, the objective is

.. math::  \sum_{k} \sum_i λ_i \sum_j (P_i)_{kj} \|x_k - y_{ij}\|^p ,

one convex problem for each point. At p = 2 its solution is the mean of the targets, elsewhere a
step of iteratively reweighted means lowers it (p ≤ 2), halved until it does (p > 2). New plans
lower it again, so that the objective falls until both agree: a local optimum, as the objective is
not convex in the support.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from otdist.core.result import OTResult
from otdist.distances import wasserstein

_HALVINGS = 12
_NEAR, _LEAST = 0.1, 1e-12
"""Length that counts for closer pairs at p < 2, of the spread: a point on a target would stay there
for good. It is halved at each step, from the first to the least."""


@dataclass(frozen=True)
class Found:
    """A support and how it was reached.

    Attributes:
        points: Shape (k, d).
        history: The objective before each step, and at the end.
        converged: Whether the last step gained less than the tolerance.
    """

    points: np.ndarray
    history: tuple[float, ...]
    converged: bool


def barycenter(
    support: np.ndarray,
    weights: np.ndarray,
    samples: Sequence[tuple[np.ndarray, np.ndarray]],
    shares: np.ndarray,
    p: float,
    *,
    tol: float,
    max_iter: int,
    say: Callable[[str], None],
) -> Found:
    """Move the support until a step lowers the objective by less than `tol` of it.

    Args:
        support: Initial points, shape (k, d).
        weights: Their weights, shape (k,), which stay.
        samples: (points, weights) of each sample, in coordinates around the origin.
        shares: λ, positive, one for each sample.
        p: Exponent, at least 1.
        tol: Relative gain to stop at.
        max_iter: Steps at most.
        say: Told the objective after each step.
    """

    def plans(points: np.ndarray, before: list[OTResult | None]) -> tuple[float, list[OTResult]]:
        found = [
            wasserstein(points, y, a=weights, b=b, p=p, start=start)
            for (y, b), start in zip(samples, before, strict=True)
        ]
        return float(sum(s * r.cost for s, r in zip(shares, found, strict=True))), found

    value, found = plans(support, [None] * len(samples))
    history = [value]
    for step in range(1, max_iter + 1):
        near = max(_NEAR * 0.5**step, _LEAST) if p < 2 else _LEAST
        target = _pulled(support, samples, shares, found, p, near)
        size = 1.0 if p <= 2 else 1.0 / (p - 1)
        for _ in range(_HALVINGS):
            moved = support + size * (target - support)
            lower, better = plans(moved, list(found))
            if lower <= value:
                break
            size /= 2
        else:
            lower, moved, better = value, support, found
        gained, value, support, found = value - lower, lower, moved, better
        history.append(value)
        say(f"step {step}, objective {value:.6g}")
        if gained <= tol * value and (p >= 2 or near <= tol):
            return Found(support, tuple(history), True)
    return Found(support, tuple(history), False)


def _pulled(
    support: np.ndarray,
    samples: Sequence[tuple[np.ndarray, np.ndarray]],
    shares: np.ndarray,
    results: Sequence[OTResult],
    p: float,
    near: float,
) -> np.ndarray:
    """The weighted mean of the targets of each support point, shape (k, d)."""
    total, mass = np.zeros_like(support), np.zeros(len(support))
    for (y, _), share, result in zip(samples, shares, results, strict=True):
        plan = result.plan.tocoo()
        pull = share * plan.data
        if p != 2:
            length = np.linalg.norm(support[plan.row] - y[plan.col], axis=1)
            pull = pull * np.maximum(length, near * (np.ptp(y) or 1.0)) ** (p - 2)
        np.add.at(total, plan.row, pull[:, None] * y[plan.col])
        np.add.at(mass, plan.row, pull)
    return np.where(mass[:, None] > 0, total / np.where(mass > 0, mass, 1)[:, None], support)
