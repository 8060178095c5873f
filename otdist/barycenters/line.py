r"""Barycenters on the line, exact for every p: quantiles are averaged.

Transport on the line matches quantiles, so that the objective separates over levels t:

.. math::  \min_ν \sum_i λ_i W_p^p(μ_i, ν)
           = \int_0^1 \min_z \sum_i λ_i |F_i^{-1}(t) - z|^p \, dt ,

and the minimisers z(t) increase with t: they are the quantiles of the barycenter. z is the mean at
p = 2 and a median at p = 1. Quantiles are constant between the merged breakpoints of all samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_STEPS = 110  # halvings of the range, beyond the digits of float64


def barycenter(
    points: Sequence[np.ndarray], weights: Sequence[np.ndarray], shares: np.ndarray, p: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points (k,), ascending, and weights (k,) of the barycenter; k < Σ n_i.

    Args:
        points: Samples on the line, shape (n_i,) each.
        weights: Their weights, shape (n_i,), of sum one.
        shares: λ, shape (K,), of sum one.
        p: Exponent, at least 1.
    """
    orders = [np.argsort(x, kind="stable") for x in points]
    ends = [np.cumsum(w[o])[:-1] / w.sum() for w, o in zip(weights, orders, strict=True)]
    times = np.concatenate([[0.0], np.sort(np.concatenate(ends)), [1.0]])
    mass = np.diff(times)
    keep = mass > 0
    middle = (times[:-1] + times[1:])[keep] / 2
    quantiles = np.stack(
        [x[o][np.searchsorted(e, middle)] for x, o, e in zip(points, orders, ends, strict=True)]
    )
    centres = np.maximum.accumulate(_centres(quantiles, shares, p))
    values, place = np.unique(centres, return_inverse=True)
    return values, np.bincount(place, mass[keep])


def _centres(quantiles: np.ndarray, shares: np.ndarray, p: float) -> np.ndarray:
    """argmin_z Σ_i λ_i |q_i − z|^p of every column of q (K, S)."""
    if p == 2:
        return shares @ quantiles
    if p == 1:  # the lower median
        order = np.argsort(quantiles, axis=0)
        reached = np.cumsum(shares[order], axis=0) >= 0.5 - 1e-12
        rank = reached.argmax(0)
        return np.take_along_axis(quantiles, order, 0)[rank, np.arange(len(rank))]
    low, high = quantiles.min(0), quantiles.max(0)
    size = np.where(high > low, high - low, 1.0)  # so that no power of a difference underflows all
    for _ in range(_STEPS):
        z = low / 2 + high / 2
        pull = (z - quantiles) / size
        slope = shares @ (np.sign(pull) * np.abs(pull) ** (p - 1))
        low, high = np.where(slope < 0, z, low), np.where(slope < 0, high, z)
    return low / 2 + high / 2
