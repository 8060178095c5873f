"""Corrections of p-values for their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from otdist.core import checks

CORRECTIONS = ("holm", "bonferroni", "benjamini-hochberg", "benjamini-yekutieli", "none")


def growth(k: int, correction: str) -> float:
    """Factor by which the least of k p-values grows: of B labellings none is below growth/(B + 1).

    >>> growth(60, "holm")
    60.0
    """
    if correction == "none":
        return 1.0
    return k * (sum(1 / j for j in range(1, k + 1)) if correction.endswith("yekutieli") else 1.0)


def corrected(values: Sequence[float], correction: str) -> list[float]:
    r"""Adjusted p-values, at most 1: reject where one is at most the level.

    With p_(1) ≤ … ≤ p_(K) in rising order, "holm" takes max_{j≤i} (K − j + 1) p_(j), "bonferroni"
    K p_(i): the chance of *any* false alarm stays below the level, whatever the dependence.
    "benjamini-hochberg" takes min_{j≥i} K p_(j)/j: the expected *share* of false alarms among the
    alarms stays below it, for independent or positively dependent tests; "benjamini-yekutieli"
    takes Σ_k 1/k times as much, under any dependence. "none" leaves them.

    Reference: Holm (1979); Benjamini and Hochberg (1995); Benjamini and Yekutieli (2001).

    >>> corrected([0.01, 0.04, 0.03], "holm")
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(values, dtype=np.float64)
    k = len(p)
    if checks.choice("correction", correction, CORRECTIONS) == "none":
        return [float(value) for value in p]
    order = np.argsort(p, kind="stable")
    rising = p[order]
    if correction == "bonferroni":
        stepped = rising * k
    elif correction == "holm":
        stepped = np.maximum.accumulate(rising * (k - np.arange(k)))
    else:
        ranks = np.arange(1, k + 1)
        factor = (1 / ranks).sum() if correction == "benjamini-yekutieli" else 1.0
        stepped = np.minimum.accumulate((factor * k * rising / ranks)[::-1])[::-1]
    out = np.empty(k)
    out[order] = np.minimum(stepped, 1)
    return [float(value) for value in out]
