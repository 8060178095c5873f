"""Mean kernels over all pairs of points, one task for each pair of blocks; nothing is sketched.

A block meets every other on some worker, two at a time: O(n·m) work like the functions in memory,
and the memory of two blocks on each worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np

from otdist.core import measure
from otdist.core.extras import require
from otdist.moments import kernels
from otdist.outofcore.blocks import Blocks, tree


@dataclass(frozen=True)
class NamedKernel:
    """A kernel by name, in the units of the points.

    Attributes:
        name: "distance" for −‖x − y‖, or one that `otdist.mmd` knows.
        bandwidth: σ; None for a kernel without one.
    """

    name: str
    bandwidth: float | None = None

    def mean(self, x: Any, y: Any, a: Any, b: Any) -> float:
        """E k(x, y) for weights of sum one."""
        pair = measure.pair(x, y, a, b)
        if self.name == "distance":
            return float(kernels.mean_distance(pair)) * -pair.scale
        return float(kernels.mean_kernel(pair, self.name, self.bandwidth))

    def diagonal(self, x: Any, a: Any) -> float:
        """Σ a_i² k(x_i, x_i) for weights of sum one."""
        return float(kernels.diagonal(measure.pair(x, x, a, a), self.name, self.bandwidth))


@dataclass(frozen=True)
class Sums:
    """Sums over pairs of points: of w w' k, of the pairs on the diagonal, of w² and of w.

    Attributes:
        total: Σ_ij w_i w_j k(x_i, x_j).
        diagonal: Σ_i w_i² k(x_i, x_i).
        squares: Σ_i w_i².
        mass: Σ_i w_i.
    """

    total: float = 0.0
    diagonal: float = 0.0
    squares: float = 0.0
    mass: float = 0.0


def within(kernel: NamedKernel, sample: Blocks, *, diagonal: bool = False) -> Any:
    """Delayed sums over the pairs of one sample, each pair of blocks once."""
    delayed = require("dask", extra="dask").delayed
    pieces = list(enumerate(sample.pieces))
    names = (sample.name, sample.name)
    parts = [
        delayed(_block, pure=False)(
            kernel, names, (i, j), *first, *second, factor=1 if i == j else 2, diagonal=diagonal
        )
        for (i, first), (j, second) in combinations_with_replacement(pieces, 2)
    ]
    return tree(_sum, parts)


def between(kernel: NamedKernel, x: Blocks, y: Blocks) -> Any:
    """Delayed sums over the pairs of two samples; `total` alone is filled."""
    delayed = require("dask", extra="dask").delayed
    parts = [
        delayed(_block, pure=False)(kernel, ("x", "y"), (i, j), *first, *second)
        for (i, first), (j, second) in product(enumerate(x.pieces), enumerate(y.pieces))
    ]
    return tree(_sum, parts)


def _block(
    kernel: NamedKernel,
    names: tuple[str, str],
    numbers: tuple[int, int],
    x: Any,
    a: Any,
    y: Any,
    b: Any,
    *,
    factor: int = 1,
    diagonal: bool = False,
) -> Sums:
    """Sums of one pair of blocks, `factor` times; marginal sums for a block against itself."""
    x, y = np.asarray(x), np.asarray(y)
    try:
        (a, mass_a), (b, mass_b) = _normalised(x, a), _normalised(y, b)
        if not (mass_a and mass_b):
            return Sums()
        total = factor * mass_a * mass_b * kernel.mean(x, y, a, b)
        if names[0] != names[1] or numbers[0] != numbers[1]:
            return Sums(total)
        own = kernel.diagonal(x, a) * mass_a**2 if diagonal else 0.0
        squares = 1 / len(x) if a is None else float((a * a).sum())
        return Sums(total, own, squares * mass_a**2, mass_a)
    except (ValueError, TypeError) as error:
        where = f"block {numbers[0]} of {names[0]} and block {numbers[1]} of {names[1]}"
        raise type(error)(f"{where}: {error}") from None


def _normalised(points: np.ndarray, weights: Any) -> tuple[Any, float]:
    """Weights of sum one, or None where uniform, and the mass of the block."""
    if weights is None:
        return None, float(len(points))
    weights = np.asarray(weights, np.float64)
    mass = float(weights.sum())
    return (weights / mass if mass > 0 else weights), mass


def _sum(parts: list[Sums]) -> Sums:
    return Sums(
        sum(p.total for p in parts),
        sum(p.diagonal for p in parts),
        sum(p.squares for p in parts),
        sum(p.mass for p in parts),
    )
