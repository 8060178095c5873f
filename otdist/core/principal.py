"""Principal components: the directions along which rows vary most."""

from __future__ import annotations

import numpy as np


def principal(rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (d,), k orthonormal directions (d, k) and their shares of the variance (k,).

    From the smaller of the two matrices of products, of columns or of rows.

    Args:
        rows: Shape (n, d).
        k: Directions, at most min(n, d).

    >>> mean, axes, shares = principal(np.array([[0.0, 1.0], [4.0, 1.0]]), 1)
    >>> mean.tolist(), np.abs(axes).tolist(), shares.tolist()
    ([2.0, 1.0], [[1.0], [0.0]], [1.0])
    """
    scale = np.abs(rows).max() or 1.0  # squares neither overflow nor vanish
    scaled = rows.astype(np.float64) / scale
    mean = scaled.mean(0)
    centred = scaled - mean
    wide = centred.shape[0] < centred.shape[1]
    values, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    axes = vectors[:, ::-1][:, :k]
    if wide:  # the directions are combinations of rows
        axes, _ = np.linalg.qr(centred.T @ axes)
    shares = values[::-1][:k] / max(values.sum(), np.finfo(float).tiny)
    return mean * scale, axes, shares
