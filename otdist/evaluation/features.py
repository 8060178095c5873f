"""What is compared: raw rows, principal components of the pooled sample, or a network's features.

Features are one function of all rows or fitted to the pooled sample without its labels, so that a
permutation test on them stays valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import torch

from otdist._arrays import as_tensor

_BATCH = 256


def extract(samples: dict[str, Any], features: Any) -> tuple[dict[str, np.ndarray], str]:
    """Feature rows (n, d) by name, and in words what they are.

    Args:
        samples: Real and fake samples by name, (n, ...) each.
        features: None or "raw", "pca-K", a callable, an nn.Module, or "module:function".

    Raises:
        ValueError: an unknown specification, K out of range, or features of the wrong shape.
    """
    if features is None or features == "raw":
        return _one_type({name: flat(value, name) for name, value in samples.items()}), "raw"
    if isinstance(features, str):
        components = re.fullmatch(r"pca-(\d+)", features)
        if components:
            rows = _one_type({name: flat(value, name) for name, value in samples.items()})
            return _principal(rows, int(components[1])), features
        features = _imported(features)
    if not callable(features):
        raise ValueError(
            f'features must be None, "raw", "pca-K", a callable or "module:function": '
            f"got {features!r}"
        )
    name = getattr(features, "__name__", type(features).__name__)
    found = {key: _apply(features, value, key) for key, value in samples.items()}
    return _one_type(found), f"features of {name}"


def flat(value: Any, name: str) -> np.ndarray:
    """Rows (n, d) of floats; arrays of higher rank are flattened per row."""
    rows = as_tensor(value, name).detach().cpu()
    if rows.ndim == 0 or 0 in rows.shape:
        raise ValueError(f"{name} must hold at least one row: got shape {tuple(rows.shape)}")
    array = rows.reshape(len(rows), -1).numpy()
    return array if array.dtype == np.float32 else array.astype(np.float64)


def _one_type(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    wide = np.result_type(*rows.values())
    return {name: value.astype(wide, copy=False) for name, value in rows.items()}


def _principal(rows: dict[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    """The k coordinates of most variance of all rows together."""
    d = next(iter(rows.values())).shape[1]
    if any(value.shape[1] != d for value in rows.values()):
        widths = {name: value.shape[1] for name, value in rows.items()}
        raise ValueError(f"samples must have the same dimension: got {widths}")
    if not 1 <= k <= d:
        raise ValueError(f'features="pca-{k}" must keep between 1 and {d} components')
    pooled = np.concatenate(list(rows.values())).astype(np.float64)
    mean = pooled.mean(0)
    _, vectors = np.linalg.eigh(np.cov(pooled.T, bias=True).reshape(d, d))
    axes = vectors[:, ::-1][:, :k]
    return {name: (value - mean) @ axes for name, value in rows.items()}


def _imported(path: str) -> Callable[[Any], Any]:
    module, _, function = path.partition(":")
    if not function:
        raise ValueError(f'features must be "raw", "pca-K" or "module:function": got {path!r}')
    try:
        return getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"features {path!r} cannot be imported: {error}") from None


def _apply(function: Callable[[Any], Any], value: Any, name: str) -> np.ndarray:
    """Features in batches; a module gets tensors on its device and is left in its own mode."""
    if not isinstance(function, torch.nn.Module):
        return _checked(flat(function(value), name), len(value), name)
    parameter = next(function.parameters(), None)
    rows = as_tensor(value, name)
    if parameter is not None:
        rows = rows.to(parameter)
    training = function.training
    function.eval()
    try:
        with torch.no_grad():
            parts = [function(rows[i : i + _BATCH]).cpu() for i in range(0, len(rows), _BATCH)]
    finally:
        function.train(training)
    return _checked(flat(torch.cat(parts), name), len(rows), name)


def _checked(rows: np.ndarray, number: int, name: str) -> np.ndarray:
    if len(rows) != number:
        raise ValueError(f"features of {name} must have {number} rows: got {len(rows)}")
    return rows
