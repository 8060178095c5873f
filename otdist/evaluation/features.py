"""What is compared: raw rows, principal components of the pooled sample, or a network's features.

Features are one function of all rows or fitted to the pooled sample without its labels, so that a
permutation test on them stays valid.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from otdist.core import checks
from otdist.core.principal import principal
from otdist.core.shapes import check_shapes
from otdist.evaluation.feature_functions import Features, UnknownFeaturesError, floats


def extract(samples: dict[str, Any], features: Any) -> tuple[dict[str, np.ndarray], str]:
    """Feature rows (n, d) by name, and in words what they are.

    Args:
        samples: Real and fake samples by name, (n, ...) each.
        features: None or "raw", "pca-K", a callable, an nn.Module, "module:function", the name of
            an encoder or `Features`.

    Raises:
        ValueError: an unknown specification, K out of range, features of the wrong shape, or single
            samples (or their features) of different shapes.
    """
    text = features if isinstance(features, str) else None
    components = re.fullmatch(r"pca-(\d+)", text or "")
    if features is None or text == "raw" or components:
        rows = _flattened({name: floats(value, name) for name, value in samples.items()})
        return (_principal(rows, int(components[1])) if components else rows), features or "raw"
    if not isinstance(features, str) and (isinstance(features, type) or not callable(features)):
        raise TypeError(
            f'features must be None, "raw", "pca-K", a callable, Features(...) or '
            f'"module:function": got {checks.shown(features)}'
        )
    function = features if isinstance(features, Features) else Features(features)
    _ = function.made  # raises before anything is computed
    found = {key: function.arrays(value, key) for key, value in samples.items()}
    return _flattened(found), f"features of {function.name}"


def _flattened(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rows (n, d) of one floating type, from arrays whose rows have one shape."""
    check_shapes({name: value.shape[1:] for name, value in arrays.items()})
    wide = np.result_type(*arrays.values())
    return {n: v.reshape(len(v), -1).astype(wide, copy=False) for n, v in arrays.items()}


def _principal(rows: dict[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    """The k coordinates of most variance of all rows together."""
    d = next(iter(rows.values())).shape[1]
    if any(value.shape[1] != d for value in rows.values()):
        widths = {name: value.shape[1] for name, value in rows.items()}
        raise ValueError(f"samples must have the same dimension: got {widths}")
    pooled = np.concatenate(list(rows.values()))
    most = min(pooled.shape)
    if not 1 <= k <= most:
        raise UnknownFeaturesError(f'features="pca-{k}" must keep between 1 and {most} components')
    mean, axes, _ = principal(pooled, k)
    return {name: (value - mean) @ axes for name, value in rows.items()}
