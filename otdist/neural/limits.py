"""The confidence limit of a difference of means: what critics say about laws."""

from __future__ import annotations

import math

import torch
from scipy.stats import t as student
from torch import Tensor

CONFIDENCE = 0.95
"""One-sided."""


def limit(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Difference of the means of two independent samples, and its one-sided lower limit (Welch).

    Args:
        x: Scores of held-out points of the first law, shape (n,), n ≥ 2.
        y: Of the second, shape (m,), m ≥ 2.

    Returns:
        (estimate, limit), the limit not below 0, which no distance is.
    """
    estimate = float(x.mean() - y.mean())
    size = float(torch.cat([x, y]).abs().max())
    if size == 0:
        return 0.0, 0.0
    first, second = (float((s / size).var()) / len(s) for s in (x, y))
    total = first + second
    if total == 0:
        return estimate, max(0.0, estimate)
    freedom = total**2 / (first**2 / (len(x) - 1) + second**2 / (len(y) - 1))
    margin = float(student.ppf(CONFIDENCE, freedom)) * math.sqrt(total) * size
    return estimate, max(0.0, estimate - margin)
