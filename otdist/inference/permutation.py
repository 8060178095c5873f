r"""Permutation tests: is the distance between two samples more than chance?

If both samples come from one law, every labelling of the pooled rows is equally likely, whatever
the law, the sizes and the dimension. With b of B random labellings reaching the observed statistic,

.. math::  p = (1 + b) / (1 + B)

is a valid p-value at finite n: P(p ≤ α) ≤ α (Phipson and Smyth 2010, Permutation p-values should
never be zero).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from otdist.core import checks, measure, painters
from otdist.inference import statistics
from otdist.inference.order import sorted_rows

_TIE = 1e-5
"""Labellings within this relative distance below the observed value count as reaching it: float32
sums of equal values differ by less. Counting a tie is the side that keeps the test valid."""


@dataclass(frozen=True, repr=False, eq=False)
class TestResult:
    """Result of `two_sample_test`.

    Attributes:
        statistic: The observed value.
        pvalue: (1 + b)/(1 + B) with b of B labellings at or above it.
        null: Values at the random labellings, shape (B,).
        name: What the statistic is.
        n: Rows of x.
        m: Rows of y.
        seconds: Wall-clock time.

    >>> import otdist
    >>> result = otdist.two_sample_test([0.0, 0.1, 0.2, 0.3], [5.0, 5.1, 5.2, 5.3], "energy")
    >>> result.pvalue < 0.1, len(result.null)
    (True, 999)
    """

    __test__ = False  # not a test of pytest's

    statistic: float
    pvalue: float
    null: np.ndarray
    name: str
    n: int
    m: int
    seconds: float

    def plot(self) -> Any:
        """A matplotlib figure: the null distribution and the observed value.

        Raises:
            ImportError: matplotlib is not installed.
        """
        return painters.draw(self)

    def __repr__(self) -> str:
        return (
            f"{self.name} = {self.statistic:.5g}, p = {self.pvalue:.3g}  "
            f"{len(self.null)} permutations of {self.n} + {self.m} rows, {self.seconds:.2f} s"
        )


def two_sample_test(
    x: Any,
    y: Any,
    statistic: Any = "sliced",
    *,
    n_permutations: int = 999,
    seed: int | None = 0,
    **options: Any,
) -> TestResult:
    r"""Permutation test that two samples come from one law; valid at every size and dimension.

    Rows must be exchangeable under the null: independent rows are; the rows of a time series or
    repeated measurements of one subject are not.

    Args:
        x: Points of the first sample, shape (n, d), or (n,) on the line.
        y: Points of the second sample, shape (m, d) or (m,).
        statistic: "sliced" (SW_1; option `n_projections`, 100), "energy", "mmd" (Gaussian kernel;
            `bandwidth`, the median distance of the pooled sample), "wasserstein" (exact; `p`, 1),
            "sinkhorn" (`p`, 2; `eps`, 5% of the pooled mean cost), or a function of two samples
            whose value does not depend on the order of rows.
        n_permutations: Random labellings B; the smallest p-value is 1/(B + 1).
        seed: Of labellings and directions; None draws fresh ones.
        **options: Of the statistic, by name.

    Returns:
        The observed statistic, its p-value, and the null distribution.

    Raises:
        TypeError, ValueError: bad samples (see `wasserstein`), statistic or options; a statistic
            that is not finite.

    Cost: "sliced" sorts once and takes one cumulative sum per direction and labelling; "energy" and
        "mmd" compute the (n + m)² pairs once, in blocks. The others solve B + 1 problems.
    Reference: Székely and Rizzo (2013); Gretton et al. (2012).

    >>> import numpy as np, otdist
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(60, 3)), rng.normal(size=(50, 3)) + 1
    >>> otdist.two_sample_test(x, y, n_permutations=99).pvalue
    0.01
    """
    started = time.perf_counter()
    chosen = statistics.named(statistic, options)
    n_permutations = checks.whole("n_permutations", n_permutations)
    pair = measure.pair(x, y)
    # In an order of their own, so that the labellings do not depend on how the rows were sorted.
    pair = replace(pair, x=sorted_rows(pair.x), y=sorted_rows(pair.y))
    n, m = len(pair.x), len(pair.y)
    rng = checks.generator(seed)
    with torch.no_grad():
        values = chosen.values(pair, labellings(n, m, n_permutations, rng), rng)
    if not np.isfinite(values).all():
        raise ValueError(f"{chosen.name} is not finite for some labellings: no test is possible")
    observed, null = float(values[0]), values[1:]
    return TestResult(observed, pvalue(observed, null), null, chosen.name, n, m,
                      time.perf_counter() - started)  # fmt: skip


def labellings(n: int, m: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Shape (count + 1, n + m), bool: the observed labelling and random ones."""
    labels = np.zeros((count + 1, n + m), dtype=bool)
    labels[:, :n] = True
    rng.permuted(labels[1:], axis=1, out=labels[1:])
    return labels


def pvalue(observed: float, null: np.ndarray) -> float:
    """(1 + b)/(1 + B); ties to within rounding count as reached."""
    reached = int((null >= observed - _TIE * abs(observed)).sum())
    return (1 + reached) / (1 + len(null))
