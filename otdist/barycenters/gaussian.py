r"""The barycenter of the Gaussians fitted to samples, at p = 2.

Its mean is Σ λ_i m_i, and its covariance the fixed point of

.. math::  C ← C^{-1/2} \Big(\sum_i λ_i (C^{1/2} C_i C^{1/2})^{1/2}\Big)^2 C^{-1/2}

(Álvarez-Esteban, del Barrio, Cuesta-Albertos and Matrán 2016). The optimal map from N(m_i, C_i) is
affine; moved by it, the samples have the mean and the covariance of the barycenter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Found(NamedTuple):
    """Mean (d,) and covariance (d, d), the steps taken, and whether they came to rest."""

    mean: np.ndarray
    covariance: np.ndarray
    iterations: int
    converged: bool


def barycenter(
    gaussians: Sequence[tuple[np.ndarray, np.ndarray]],
    shares: np.ndarray,
    *,
    tol: float,
    max_iter: int,
) -> Found:
    """The Gaussian barycenter of (mean, covariance) pairs.

    Args:
        gaussians: Means (d,) and covariances (d, d), which may be singular.
        shares: λ, of sum one.
        tol: Relative change of the covariance to stop at.
        max_iter: Steps at most.
    """
    mean = shares @ np.stack([m for m, _ in gaussians])
    covariances = [c for _, c in gaussians]
    now = np.tensordot(shares, np.stack(covariances), 1)
    size = np.trace(now)
    for step in range(1, max_iter + 1):
        half, inverse = _roots(now)
        middle = sum(
            share * _roots(half @ c @ half)[0] for share, c in zip(shares, covariances, strict=True)
        )
        after = inverse @ middle @ middle @ inverse
        after = (after + after.T) / 2
        change, now = np.abs(after - now).max(), after
        if change <= tol * size:
            return Found(mean, now, step, True)
    return Found(mean, now, max_iter, False)


def moved(points: np.ndarray, gaussian: tuple[np.ndarray, np.ndarray], to: Found) -> np.ndarray:
    """The points (n, d) under the affine optimal map of their Gaussian to the barycenter."""
    mean, covariance = gaussian
    half, inverse = _roots(covariance)
    turn = inverse @ _roots(half @ to.covariance @ half)[0] @ inverse
    return to.mean + (points - mean) @ turn


def _roots(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The root of a positive semidefinite matrix, and the pseudo-inverse of that root."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    kept = values > values[-1] * len(values) * np.finfo(float).eps
    roots = np.sqrt(np.where(kept, values, 0))
    back = np.where(kept, 1 / np.where(kept, roots, 1), 0)
    return (vectors * roots) @ vectors.T, (vectors * back) @ vectors.T
