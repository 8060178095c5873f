"""Distributions whose distance is known, and what intervals between their samples should cover."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks import coverage_truth as truth

Draw = Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """Two laws and what an interval between samples of them should cover.

    Attributes:
        statistic: Of `confidence_interval`.
        laws: In words.
        draw: (rng, n, m) → samples.
        target: The true value; None where it is the expectation at these sizes, which the mean
            over all trials estimates.
        options: Of the statistic.
        sizes: (n, m) of each row.
    """

    statistic: str
    laws: str
    draw: Draw
    target: float | None
    options: dict[str, Any] = field(default_factory=dict)
    sizes: tuple[tuple[int, int], ...] = ((60, 50), (300, 250))


def normal(d: int, shift: float, spread: float) -> Draw:
    """N(0, I) against N(shift e_1, spread² I)."""

    def draw(rng: np.random.Generator, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
        y = spread * rng.standard_normal((m, d))
        y[:, 0] += shift
        return rng.standard_normal((n, d)), y

    return draw


def exponential(rng: np.random.Generator, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Two exponential laws of mean 1 and 1.6."""
    return rng.standard_exponential((n, 1)), 1.6 * rng.standard_exponential((m, 1))


def lognormal(rng: np.random.Generator, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Exponentials of N(0, 1) and of N(0.5, 1)."""
    return np.exp(rng.standard_normal((n, 1))), np.exp(0.5 + rng.standard_normal((m, 1)))


def atoms(rng: np.random.Generator, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Two laws on the same four points of the plane."""
    x, y = (rng.choice(4, size, p=law) for size, law in zip((n, m), truth.WEIGHTS, strict=True))
    return truth.ATOMS[x], truth.ATOMS[y]


def half_equal(rng: np.random.Generator, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """On the line: equal above 0, shifted by 1 below −10."""
    x, y = rng.standard_normal((n, 1)), rng.standard_normal((m, 1))
    for z, to in ((x, -10.0), (y, -11.0)):
        low = z < 0
        z[low] = to + z[low] / 10
    return x, y


def cases() -> list[Case]:
    """Laws that differ plainly, then hard ones."""
    d, shift, spread = 3, 1.0, 1.5
    plain, words = normal(d, shift, spread), "N(0, I), N(e₁, 1.5² I), d = 3"
    line, on_line = normal(1, 1.0, 1.5), "N(0, 1), N(1, 1.5²)"
    near, weak = normal(d, 0.3, 1.0), "N(0, I), N(0.3 e₁, I), d = 3"
    largest = truth.along_best(shift, spread)
    sizes = ((60, 50), (300, 250), (1000, 800))
    return [
        Case("wasserstein", on_line, line, truth.line_w1(1.0, 1.5), {"p": 1}, sizes),
        Case("wasserstein", on_line, line, truth.line_w2(1.0, 1.5), {"p": 2}, sizes),
        Case("wasserstein", "N(0, 1), N(0, 2²)", normal(1, 0.0, 2.0), math.sqrt(2 / math.pi),
             {"p": 1}, sizes),
        Case("wasserstein", "exponential, means 1 and 1.6", exponential, 0.6, {"p": 1}, sizes),
        Case("wasserstein", "equal above 0, apart below", half_equal, 0.5, {"p": 1}, sizes),
        Case("wasserstein", words, plain, None),
        Case("sliced", words, plain, truth.sliced_w2(d, shift, spread)),
        Case("sliced", "N(0, I), N(e₁, 1.5² I), d = 20", normal(20, shift, spread),
             truth.sliced_w2(20, shift, spread)),
        Case("max_sliced", words, plain, largest),
        Case("sinkhorn", words, plain, truth.sinkhorn(d, shift, spread, 1.0), {"eps": 1.0}),
        Case("sinkhorn", "on four points", atoms, truth.atoms_sinkhorn(0.5), {"eps": 0.5}),
        Case("energy", words, plain, truth.energy(d, shift, spread)),
        Case("mmd", words, plain, truth.mmd(d, shift, spread, 2.0), {"bandwidth": 2.0}),
        Case("kid", words, plain, truth.kid(d, shift, spread), sizes=sizes),
        Case("kid", "exponential, means 1 and 1.6", exponential, truth.exponential_kid(1.6),
             sizes=sizes),
        Case("kid", "lognormal, medians 1 and √e", lognormal, truth.lognormal_kid(0.5),
             sizes=sizes),
        Case("frechet", words, plain, None, sizes=sizes),
        Case("frechet", "N(0, I), N(e₁, 1.5² I), d = 15", normal(15, shift, spread), None),
        Case("sliced", weak, near, truth.sliced_w2(d, 0.3, 1.0), sizes=sizes),
        Case("energy", weak, near, truth.energy(d, 0.3, 1.0), sizes=sizes),
        Case("energy", "equal: N(0, I), d = 3", normal(d, 0.0, 1.0), 0.0),
        Case("frechet", "equal: N(0, I), d = 3", normal(d, 0.0, 1.0), None),
    ]  # fmt: skip
