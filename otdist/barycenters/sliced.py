r"""Sliced barycenters: the support that is nearest to all samples along many lines, at p = 2.

.. math::  \min_X \sum_i λ_i \frac{1}{L} \sum_θ W_2^2(⟨θ, X⟩, ⟨θ, Y_i⟩)

(Bonneel, Rabin, Peyré and Pfister 2015). Along a line an optimal plan gives every support point the
mean t_θ of what it receives. With those plans held fixed the objective is quadratic in each point,
with its minimum at x = A⁻¹ Σ_θ t_θ θ / L, A = Σ_θ θ θᵀ / L; new plans lower it again. So the
objective falls without a step size, on directions that are drawn once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from otdist.barycenters.free import Found


def barycenter(
    support: np.ndarray,
    samples: Sequence[tuple[np.ndarray, np.ndarray]],
    shares: np.ndarray,
    directions: np.ndarray,
    *,
    tol: float,
    max_iter: int,
    say: Callable[[str], None],
) -> Found:
    """Move the support until a step lowers the sliced objective by less than `tol` of it.

    Args:
        support: Initial points, shape (k, d), each with mass 1/k.
        samples: (points, weights) of each sample, in coordinates around the origin.
        shares: λ, positive, one for each sample.
        directions: Unit rows (L, d), which span the space.
        tol: Relative gain to stop at.
        max_iter: Steps at most.
        say: Told the objective after each step.
    """
    k = len(support)
    means, square = _received(k, samples, shares, directions)
    back = np.linalg.pinv(directions)  # (d, L): A⁻¹ Θᵀ / L

    def pull(points: np.ndarray) -> tuple[float, np.ndarray]:
        """The objective, and what each point receives along each line, shape (L, k)."""
        lines = directions @ points.T
        rank = np.argsort(np.argsort(lines, axis=1, kind="stable"), axis=1)
        received = np.take_along_axis(means, rank, 1)
        value = (lines**2 - 2 * lines * received).sum(1).mean() / k + square
        return max(float(value), 0.0), received

    value, received = pull(support)
    history = [value]
    for step in range(1, max_iter + 1):
        moved = (back @ received).T
        lower, better = pull(moved)
        if lower > value:  # rounding
            return Found(support, tuple(history), True)
        gained, value, support, received = value - lower, lower, moved, better
        history.append(value)
        say(f"step {step}, sliced objective {value:.6g}")
        if gained <= tol * value:
            return Found(support, tuple(history), True)
    return Found(support, tuple(history), False)


def _received(
    k: int,
    samples: Sequence[tuple[np.ndarray, np.ndarray]],
    shares: np.ndarray,
    directions: np.ndarray,
) -> tuple[np.ndarray, float]:
    """λ-averages of the mean of each k-th of the mass along each line, and mean squares."""
    ends = np.arange(k + 1) / k
    means, square = np.zeros((len(directions), k)), 0.0
    for (y, b), share in zip(samples, shares, strict=True):
        lines = directions @ y.T
        order = np.argsort(lines, axis=1)
        for row, at in enumerate(order):
            mass = np.concatenate([[0.0], np.cumsum(b[at])])
            sums = np.concatenate([[0.0], np.cumsum(b[at] * lines[row, at])])
            means[row] += share * k * np.diff(np.interp(ends, mass / mass[-1], sums))
        square += share * float(((lines**2) @ b).mean())
    return means, square
