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

from otdist import discrepancy
from otdist.core import checks, painters
from otdist.core.measure import Pair
from otdist.core.threads import threads_for
from otdist.discrepancy.base import Discrepancy, even
from otdist.discrepancy.rows import canonical

_TIE = 1e-12
"""Labellings within this relative distance below the observed value count as reaching it: sums in
float64 of equal values differ by less. Counting a tie is the side that keeps the test valid."""


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
            "sinkhorn" (`p`, 2; `eps`, 5% of the pooled mean cost), the last four with `metric` as
            the functions of these names have it; or a function of two samples whose value does not
            depend on the order of rows.
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
    chosen = discrepancy.named(statistic, options, "test")
    n_permutations = checks.whole("n_permutations", n_permutations)
    return test_of(chosen, chosen.frame(x, y), n_permutations, checks.seed(seed))


def test_of(chosen: Discrepancy, pair: Pair, count: int, seed: int | None) -> TestResult:
    """The test of one discrepancy, at the options that the pooled sample gives it.

    Raises:
        ValueError: the value is not finite for some labellings.
    """
    started = time.perf_counter()
    chosen, pair = chosen.exchangeable(pair)
    chosen = chosen.fitted(pair)
    values = permuted(chosen, pair, count, seed)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{chosen.quantity} is not finite for some labellings: no test is possible"
        )
    observed, null = float(values[0]), values[1:]
    return TestResult(
        observed, pvalue(observed, null), null, chosen.quantity, len(pair.x), len(pair.y),
        time.perf_counter() - started,
    )  # fmt: skip


def permuted(chosen: Discrepancy, pair: Pair, count: int, seed: int | None) -> np.ndarray:
    """Values (count + 1,) at the observed labelling, which is the first, and at random ones.

    Rows are pooled in an order of their own, equal rows in a random one: then a value depends on
    which rows are x and on nothing else, not even by its rounding, and the test is valid.
    """
    n, m = len(pair.x), len(pair.y)
    # Apart from the stream of `seed` itself, which directions are drawn from.
    rng = np.random.default_rng(None if seed is None else [seed, 1])
    z = torch.cat([pair.x.points, pair.y.points]).detach().double()
    mixed = rng.permutation(n + m)
    order = mixed[canonical(z.cpu().numpy()[mixed])]
    labels = labellings(n, m, count, rng)
    labels[0] = order < n
    z = z[torch.from_numpy(order).to(z.device)]
    with torch.no_grad(), threads_for(chosen.numbers(pair) * count):
        return chosen.relabelled(replace(pair, x=even(z[:n]), y=even(z[n:])), labels, seed)


def labellings(n: int, m: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Shape (count + 1, n + m), bool: the first n rows, and random choices of n rows."""
    labels = np.zeros((count + 1, n + m), dtype=bool)
    labels[:, :n] = True
    rng.permuted(labels[1:], axis=1, out=labels[1:])
    return labels


def pvalue(observed: float, null: np.ndarray) -> float:
    """(1 + b)/(1 + B); ties to within rounding count as reached."""
    reached = int((null >= observed - _TIE * abs(observed)).sum())
    return (1 + reached) / (1 + len(null))
