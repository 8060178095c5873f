r"""Permutation tests: is the distance between two samples more than chance?

If both samples come from one distribution, every labelling of the pooled rows is equally likely,
whatever the distribution, the sizes and the dimension. With b of B random labellings reaching the
observed statistic,

.. math::  p = (1 + b) / (1 + B)

is a valid p-value at finite n: P(p ≤ α) ≤ α (Phipson and Smyth 2010, Permutation p-values should
never be zero). Where rows come in groups, or in pairs, only labellings that respect them are
equally likely (`labellings`).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from otdist import discrepancy
from otdist.core import checks, measure, painters
from otdist.core.measure import SamplePair
from otdist.core.progress import following
from otdist.core.progress import progress as shown
from otdist.core.shown import Shown
from otdist.core.threads import threads_for
from otdist.discrepancy.base import Discrepancy, even, masses, weighted
from otdist.discrepancy.rows import canonical
from otdist.inference.labellings import Scheme, of_groups, of_pairs

_TIE = 1e-12
"""Labellings within this relative distance below the observed value count as reaching it: sums in
float64 of equal values differ by less. Counting a tie is the side that keeps the test valid."""


@dataclass(frozen=True, repr=False, eq=False)
class TestResult(Shown):
    """Result of `two_sample_test`.

    Attributes:
        statistic: The observed value.
        pvalue: (1 + b)/(1 + B) with b of B labellings at or above it.
        null: Values at the random labellings, shape (B,).
        name: What the statistic is.
        n: Rows of x.
        m: Rows of y.
        seconds: Wall-clock time.
        exchanged: What was exchanged: rows, groups or pairs, and how many.
        note: What a reader must know.

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
    exchanged: str = ""
    note: str = ""

    def plot(self) -> Any:
        """A matplotlib figure: the null distribution and the observed value.

        Raises:
            ImportError: matplotlib is not installed.
        """
        return painters.draw(self)

    def __repr__(self) -> str:
        what = f"{self.exchanged} of " if self.exchanged else ""
        return (
            f"{self.name} = {self.statistic:.5g}, p = {self.pvalue:.3g}  {len(self.null)} "
            f"permutations of {what}{self.n} + {self.m} rows, {self.seconds:.2f} s"
        )


def two_sample_test(
    x: Any,
    y: Any,
    statistic: Any = "sliced",
    *,
    a: Any = None,
    b: Any = None,
    groups_x: Any = None,
    groups_y: Any = None,
    paired: bool = False,
    n_permutations: int = 999,
    seed: int | None = 0,
    progress: bool = False,
    **options: Any,
) -> TestResult:
    r"""Test by permutations whether two samples have one distribution; valid at any size.

    What is permuted must be exchangeable under the null hypothesis. Independent rows are, and so
    are donors with all their cells; single cells of a donor, or rows of a time series, are not.

    Args:
        x: Points of the first sample, shape (n, d), or (n,) on the line.
        y: Points of the second sample, shape (m, d) or (m,).
        statistic: "sliced" (SW_1; option `n_projections`, 100), "energy", "mmd" (Gaussian kernel;
            `bandwidth`, the median distance of the pooled sample), "mmd_fuse" (20 kernels at
            once, Gaussian and Laplacian; `n_bandwidths`, 10), "wasserstein" (exact; `p`, 1),
            "sinkhorn" (`p`, 2; `eps`, 5% of the pooled mean cost), the last four with `metric` as
            the functions of these names have it; or a function of two samples whose value does not
            depend on the order of rows.
        a: Weights of the rows of x, (n,), of any sum; `b` must be given as well. They travel with
            their rows: the test is valid where row and weight together are exchangeable, as survey
            weights of one design are, and not where one sample was weighted to resemble the other.
            For sliced, energy, mmd, wasserstein and sinkhorn.
        b: Weights of the rows of y, (m,), on the scale of `a`: not divided by their own sum.
        groups_x: The group of each row of x, (n,), such as its donor: whole groups are exchanged.
        groups_y: Likewise for y, (m,); no group is in both samples.
        paired: Row i of x and row i of y are of one subject, or before and after: they are
            swapped at random. With `groups_x`, all pairs of a group are swapped together.
        n_permutations: Random labellings B; the smallest p-value is 1/(B + 1).
        seed: Of labellings and directions; None draws fresh ones.
        progress: Show how many labellings are done, and about how long the rest will take.
        **options: Of the statistic, by name.

    Returns:
        The observed statistic, its p-value, and the null distribution.

    Raises:
        TypeError, ValueError: bad samples (see `wasserstein`), statistic or options; weights that
            the statistic does not take; groups or pairs that do not fit; a statistic that is not
            finite.

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
    n_permutations, seed = checks.whole("n_permutations", n_permutations), checks.seed(seed)
    scheme = None
    if checks.flag("paired", paired) or groups_x is not None or groups_y is not None:
        scheme = _scheme(x, y, groups_x, groups_y, paired)
    plain = a is None and b is None
    pair = chosen.frame(x, y) if plain else _weighted(chosen, x, y, a, b, paired)
    quiet = not checks.flag("progress", progress)
    with (
        shown(chosen.quantity, quiet=quiet, total=n_permutations) as say,
        following(lambda share: say("permutations", round(share * n_permutations))),
    ):
        return permutation_test(chosen, pair, n_permutations, seed, scheme)


def _scheme(x: Any, y: Any, groups_x: Any, groups_y: Any, paired: bool) -> Scheme:
    """What is exchanged instead of rows."""
    of_x, of_y = (measure.sample(z, name) for z, name in ((x, "x"), (y, "y")))
    if not paired:
        return of_groups(groups_x, groups_y, len(of_x), len(of_y))
    if groups_y is not None:
        raise ValueError("groups_y must be None with paired=True: groups_x names those of pairs")
    return of_pairs(of_x.cpu().double().numpy(), of_y.cpu().double().numpy(), groups_x)


def _weighted(chosen: Discrepancy, x: Any, y: Any, a: Any, b: Any, paired: bool) -> SamplePair:
    """The pair with the weights of both samples on one scale.

    Where each sample's weights have the sum one, that scale is lost. To take them relative to their
    means instead is not valid: it rejects 7.7% at a level of 5% for 25 + 25 rows with log-normal
    weights.
    """
    if a is None or b is None:
        raise ValueError("a and b must both be given: weights travel with the rows of both samples")
    if not chosen.weighted:
        raise ValueError(f"a and b must be None: {chosen.quantity} takes no weights in a test")
    sides = []
    for value, name, sample, of in ((a, "a", x, "x"), (b, "b", y, "y")):
        points = measure.sample(sample, of)
        sides.append(measure.weights(value, name, of, points, masses=True))
        if paired and bool((sides[-1] == 0).any()):
            raise ValueError(f"{name} must be positive for paired samples")
    sums = [float(side.sum()) for side in sides]
    if all(math.isclose(total, 1, rel_tol=measure.WEIGHT_TOLERANCE) for total in sums):
        if any(len(side[side > 0].unique()) > 1 for side in sides):
            raise ValueError(
                "a and b must be on one scale, and each has the sum 1: pass them as they were "
                "before they were divided by their sums"
            )
        sums = [float((side > 0).sum()) for side in sides]
    pair = chosen.frame(x, y, *(side / side.sum() for side in sides))
    x_, y_ = (
        weighted(z.points, z.weights.detach() * total)
        for z, total in zip((pair.x, pair.y), sums, strict=True)
    )
    return replace(pair, x=x_, y=y_)


def permutation_test(
    chosen: Discrepancy,
    pair: SamplePair,
    count: int,
    seed: int | None,
    scheme: Scheme | None = None,
) -> TestResult:
    """The test of one discrepancy, at the options that the pooled sample gives it.

    Args:
        chosen: What is compared.
        pair: The samples.
        count: Random labellings.
        seed: Of labellings and directions.
        scheme: What is exchanged; None for rows.

    Raises:
        ValueError: the value is not finite for some labellings.
    """
    started = time.perf_counter()
    chosen, pair = chosen.exchangeable(pair)
    chosen = chosen.fitted(pair)
    values = permuted(chosen, pair, count, seed, scheme)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{chosen.quantity} is not finite for some labellings: no test is possible"
        )
    observed, null = float(values[0]), values[1:]
    return TestResult(
        observed, pvalue(observed, null), null, chosen.quantity, len(pair.x), len(pair.y),
        time.perf_counter() - started,
        "" if scheme is None else scheme.words, "" if scheme is None else scheme.note(count),
    )  # fmt: skip


def permuted(
    chosen: Discrepancy,
    pair: SamplePair,
    count: int,
    seed: int | None,
    scheme: Scheme | None = None,
) -> np.ndarray:
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
    if scheme is None:
        labels = labellings(n, m, count, rng)
        labels[0] = order < n
    else:
        labels = scheme.labels(count, rng)[:, order]
    at = torch.from_numpy(order).to(z.device)
    z, w = z[at], masses(pair)
    parts = [slice(n), slice(n, None)]
    x, y = (even(z[part]) if w is None else weighted(z[part], w[at][part]) for part in parts)
    with torch.no_grad(), threads_for(chosen.numbers(pair) * count):
        return chosen.relabelled(replace(pair, x=x, y=y), labels, seed)


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
