"""Samples as rows of scikit-learn: sliced embeddings and their kernel; needs the extra `sklearn`.

Distances between samples need no adapter: the matrix of `otdist.pairwise` is a precomputed metric.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from otdist.core import checks
from otdist.sliced.directions import draw


class SlicedEmbedding(TransformerMixin, BaseEstimator):
    r"""Samples as vectors whose Euclidean distances are sliced W_2 of the samples.

    Each sample is projected, and its quantiles at equally spaced levels are the coordinates. The
    distance of two vectors is SW_2 over these directions, exactly where samples have as many points
    as there are quantiles.

    Args:
        n_projections: Directions; on the line there is one.
        n_quantiles: Levels; None takes as many as a sample has points.
        seed: Of the directions.
    """

    def __init__(
        self, n_projections: int = 50, n_quantiles: int | None = None, seed: int = 0
    ) -> None:
        self.n_projections = n_projections
        self.n_quantiles = n_quantiles
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> SlicedEmbedding:
        """Draw directions for samples X: shape (k, n, d), or (k, n) on the line."""
        X = validate_data(self, X, allow_nd=True, dtype=np.float64)
        d = X.shape[2] if X.ndim == 3 else 1
        count = checks.whole("n_projections", self.n_projections)
        rng = np.random.default_rng(checks.seed(self.seed))
        self.directions_ = np.ones((1, 1)) if d == 1 else draw("iid", count, d, rng).rows
        quantiles = X.shape[1] if self.n_quantiles is None else self.n_quantiles
        self.levels_ = (np.arange(checks.whole("n_quantiles", quantiles)) + 0.5) / quantiles
        self._n_features_out = len(self.directions_) * len(self.levels_)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The vectors, shape (k, directions × quantiles)."""
        check_is_fitted(self)
        X = validate_data(self, X, allow_nd=True, dtype=np.float64, reset=False)
        slices = np.sort(X.reshape(*X.shape[:2], -1) @ self.directions_.T, axis=1)
        at = np.ceil(self.levels_ * X.shape[1] - 1e-9).astype(int) - 1
        vectors = np.moveaxis(slices[:, at], 1, 2).reshape(len(X), -1)
        return vectors / np.sqrt(vectors.shape[1])


class WassersteinKernel(SlicedEmbedding):
    """The positive definite kernel exp(−gamma SW_2²), for models with ``kernel="precomputed"``.

    Args:
        gamma: Inverse of the square of a distance; 1 over the mean of those in training when None.
        n_projections, n_quantiles, seed: As for `SlicedEmbedding`.
    """

    def __init__(
        self,
        gamma: float | None = None,
        n_projections: int = 50,
        n_quantiles: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(n_projections, n_quantiles, seed)
        self.gamma = gamma

    def fit(self, X: Any, y: Any = None) -> WassersteinKernel:
        """Keep the vectors of samples X: shape (k, n, d), or (k, n) on the line."""
        super().fit(X)
        self.vectors_ = super().transform(X)
        mean = 2 * float(self.vectors_.var(axis=0).sum())  # of squares over all pairs
        given = checks.optional(checks.positive, "gamma", self.gamma)
        self.gamma_ = given if given is not None else 1 / (mean or 1.0)
        self._n_features_out = len(self.vectors_)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The kernel of each sample with each one of training, shape (k, training samples)."""
        vectors = super().transform(X)
        squares = ((vectors[:, None] - self.vectors_) ** 2).sum(-1)
        return np.exp(-self.gamma_ * squares)
