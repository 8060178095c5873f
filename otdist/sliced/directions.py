r"""Directions on the sphere for sliced distances, with a standard error that is right for each.

All kinds are made of independent *replicates*; each replicate alone is an unbiased estimate of the
average over the sphere, so that the spread between replicates is an honest error whatever
dependence there is inside one:

* ``"iid"``: every direction is a replicate of its own;
* ``"orthogonal"``: a replicate is up to d orthonormal rows of a random rotation. Their slices repel
  each other, which lowers the variance (Rowland et al. 2019, Orthogonal estimation of Wasserstein
  distances), and full bases give the strongest lower bounds on W_p;
* ``"qmc"``: a replicate is a randomised low-discrepancy set: equally spaced angles for d = 2, a
  randomly rotated spiral for d = 3, a scrambled Sobol sequence mapped through the normal quantile
  above (Nguyen, Bariletto, Ho 2024, Quasi-Monte Carlo for 3D sliced Wasserstein).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from otdist.core import checks

KINDS = ("iid", "orthogonal", "qmc")
REPLICATES = 16
"""Fewest replicates where there are enough directions: with 16, the value lies within two standard
errors in 93.6% of draws (Student's t); with 8 it would in 91.4%."""


@dataclass(frozen=True)
class Directions:
    """Unit rows and the replicate that each belongs to.

    Attributes:
        rows: (L, d) float64.
        replicate: (L,) int64, ascending from 0.
    """

    rows: np.ndarray
    replicate: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def extend(self, more: Directions) -> Directions:
        """These directions and `more`, whose replicates are independent of these."""
        shift = self.replicate[-1] + 1
        return Directions(
            np.concatenate([self.rows, more.rows]),
            np.concatenate([self.replicate, more.replicate + shift]),
        )


def draw(kind: str, count: int, d: int, rng: np.random.Generator) -> Directions:
    """`count` directions of one kind in d dimensions."""
    checks.choice("directions", kind, KINDS)
    if d == 1:
        return Directions(np.ones((count, 1)), np.arange(count))
    if kind == "iid" or count < 2:
        return Directions(_unit(rng.standard_normal((count, d))), np.arange(count))
    number = min(count, REPLICATES)
    if kind == "orthogonal":
        number = max(number, math.ceil(count / d))
    sizes = np.diff(np.linspace(0, count, number + 1).astype(int))
    if kind == "orthogonal":
        rows = _orthonormal(sizes.tolist(), d, rng)
    else:
        rows = np.concatenate([_low_discrepancy(int(size), d, rng) for size in sizes])
    return Directions(rows, np.repeat(np.arange(number), sizes))


def given(rows: np.ndarray, d: int | None = None) -> Directions:
    """A caller's directions, taken as independent draws; in d dimensions if that is known.

    Raises:
        ValueError: not of shape (L, d), not finite, or not of unit length within 1e-6.
    """
    if rows.ndim != 2 or d not in (None, rows.shape[1]) or 0 in rows.shape:
        raise ValueError(
            f"directions must have shape (L, {d or 'd'}), one row per direction: got shape "
            f"{rows.shape}"
        )
    rows = rows.astype(np.float64)
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise ValueError(f"directions must be finite: found NaN or infinity, first at row {bad}")
    lengths = np.linalg.norm(rows, axis=1)
    worst = int(np.argmax(np.abs(lengths - 1)))
    # Two digits short of float32, and half precision is not close to unit length anyway.
    if abs(lengths[worst] - 1) > 1e-5:
        raise ValueError(
            f"directions must be unit rows: row {worst} has length {lengths[worst]:.6g}; "
            "divide by np.linalg.norm(directions, axis=1, keepdims=True)"
        )
    return Directions(rows, np.arange(len(rows)))


def standard_error(costs: np.ndarray, directions: Directions, p: float) -> float:
    """Standard error of mean(costs) ** (1/p) by the spread of replicates and the delta method.

    Replicate r with s_r of the L directions and mean cost m_r contributes
    (s_r/L)² (m_r − m)², times R/(R − 1). NaN for a single replicate in d > 1.
    """
    mean = float(costs.mean())
    if directions.rows.shape[1] == 1 or mean == 0:
        return 0.0
    sizes = np.bincount(directions.replicate)
    number = len(sizes)
    if number < 2:
        return math.nan
    means = np.bincount(directions.replicate, weights=costs / mean) / sizes  # no square underflows
    share = sizes / sizes.sum()
    variance = number / (number - 1) * float((share**2 * (means - 1) ** 2).sum())
    return math.sqrt(variance) * mean ** (1.0 / p) / p


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def orthonormal_rows(normal: np.ndarray) -> np.ndarray:
    """Orthonormal rows (..., k, d), uniform, from normal matrices (..., d, k): QR, signs by R."""
    q, r = np.linalg.qr(normal)
    signs = np.sign(np.diagonal(r, axis1=-2, axis2=-1))
    return (q * signs[..., None, :]).swapaxes(-1, -2)


def _orthonormal(sizes: list[int], d: int, rng: np.random.Generator) -> np.ndarray:
    """Blocks of orthonormal rows, one after the other.

    Blocks of one size, of which there are two, are turned in one call: 16 blocks take 0.05 ms
    in place of 0.25.
    """
    drawn = [rng.standard_normal((d, size)) for size in sizes]
    blocks: list[np.ndarray] = [np.empty(0)] * len(sizes)
    for size in set(sizes):
        at = [k for k, other in enumerate(sizes) if other == size]
        for k, rows in zip(at, orthonormal_rows(np.stack([drawn[k] for k in at])), strict=True):
            blocks[k] = rows
    return np.concatenate(blocks)


def _low_discrepancy(count: int, d: int, rng: np.random.Generator) -> np.ndarray:
    if d == 2:
        # A slice is the same along θ and −θ: half a turn is the whole sphere.
        angle = math.pi * (np.arange(count) + rng.random()) / count
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if d == 3:
        height = (np.arange(count) + 0.5) / count
        turn = np.arange(count) * math.pi * (3 - math.sqrt(5))
        radius = np.sqrt(1 - height**2)
        spiral = np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=1)
        return spiral @ orthonormal_rows(rng.standard_normal((3, 3)))
    from scipy.special import ndtri
    from scipy.stats import qmc

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The balance properties of Sobol")
        cube = qmc.Sobol(d, rng=rng).random(count)
    return _unit(ndtri(np.clip(cube, 1e-12, 1 - 1e-12)))
