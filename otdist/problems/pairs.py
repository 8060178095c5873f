r"""Pairs of samples that know their distance: the truth for tests, benchmarks and documentation.

Two values must not be confused. `Problem.sample(p)` is W_p between *these* points, exact: what
`otdist.wasserstein` has to return to rounding. `Problem.population(p)` is W_p between the laws that
the points were drawn from: what a statistical estimate approaches as n grows. Either is None where
it is not known in closed form.

Why the sample values are exact, although the points are random:

* a translation, and x against its own permutation, have the identity pairing as an optimal plan
  (Jensen);
* if y_i = ∇ψ(x_i) with ψ convex, the pairing i ↔ i is cyclically monotone, hence optimal for p = 2,
  and on the line for every p ≥ 1;
* if a 1-Lipschitz u grows by exactly ‖x_i − y_i‖ between x_i and y_i, then u proves the pairing
  optimal for p = 1 (Kantorovich–Rubinstein), for the samples as for their laws.

Everything is numpy in float64, drawn from a local generator: the same seed gives the same points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma, hyp1f1

from otdist.core import checks

Array = NDArray[np.float64]
Known = Callable[[float], float | None]


def _unknown(p: float) -> float | None:
    return None


def _always(distance: float) -> Known:
    """The same W_p for every p."""
    return lambda p: distance


@dataclass(frozen=True)
class Problem:
    """Two weighted samples, and what is known about their distance.

    Attributes:
        name: For test ids and tables.
        x: First sample, shape (n, d).
        y: Second sample, shape (m, d).
        a: Weights of x, shape (n,), or None for uniform.
        b: Weights of y, shape (m,), or None for uniform.
        sample: p → exact W_p between these samples, or None where unknown.
        population: p → exact W_p between the laws behind them, or None where unknown.
        pairing: Index into y of the partner of each x_i in an optimal plan, shape (n,), or None.

    >>> problem = translation(n=10, d=2, shift=3.0)
    >>> problem
    Problem('translation', x=(10, 2), y=(10, 2))
    >>> import numpy as np
    >>> bool(np.allclose(problem.y[problem.pairing], problem.x + 3.0))
    True
    """

    name: str
    x: Array
    y: Array
    a: Array | None = None
    b: Array | None = None
    sample: Known = _unknown
    population: Known = _unknown
    pairing: NDArray[np.int64] | None = None

    @property
    def d(self) -> int:
        """Dimension of the points."""
        return self.x.shape[1]

    def __repr__(self) -> str:
        """One line: the name and the shapes."""
        return f"Problem({self.name!r}, x={self.x.shape}, y={self.y.shape})"


def _paired(
    name: str, x: Array, y: Array, rng: np.random.Generator, powers: tuple[float, ...] | None
) -> Problem:
    """Shuffle y, whose points are the partners of x in an optimal plan at some or all p."""
    length = np.linalg.norm(x - y, axis=1)

    def sample(p: float) -> float | None:
        if powers is not None and p not in powers:
            return None
        return float(np.mean(length**p) ** (1 / p))

    return _shuffled(Problem(name, x, y, sample=sample), rng)


def _shuffled(problem: Problem, rng: np.random.Generator) -> Problem:
    """The problem with y in another order, so that no solver gets the pairing for free."""
    order = rng.permutation(len(problem.y))
    return replace(problem, y=problem.y[order], pairing=np.argsort(order))


def diracs(distance: float = 5.0, d: int = 1) -> Problem:
    """δ₀ and δ_v with ‖v‖ = distance: W_p is the distance for every p.

    >>> diracs(5.0).sample(2)
    5.0
    """
    (d,), distance = checks.sizes(d=d), checks.number("distance", distance)
    y = np.zeros((1, d))
    y[0, 0] = distance
    known = _always(abs(distance))
    return Problem("diracs", np.zeros((1, d)), y, sample=known, population=known)


def dirac_and_sphere(n: int = 50, d: int = 3, radius: float = 2.0, seed: int | None = 0) -> Problem:
    """δ₀ and points on the sphere of that radius: all mass travels the radius, for every p.

    >>> dirac_and_sphere(radius=2.0).sample(3)
    2.0
    """
    (n, d), radius = checks.sizes(n=n, d=d), checks.number("radius", radius, least=0)
    y = checks.generator(seed).standard_normal((n, d))
    y *= radius / np.linalg.norm(y, axis=1, keepdims=True)
    known = _always(radius)
    return Problem("dirac and sphere", np.zeros((1, d)), y, sample=known, population=known)


def parallel_segments(n: int = 50, theta: float = 1.0, seed: int | None = 0) -> Problem:
    """Uniform points on {0} × [0, 1], the same heights on {θ} × [0, 1]: W_p = |θ| for every p.

    The example of Arjovsky, Chintala and Bottou (2017): for θ ≠ 0 the laws have disjoint supports,
    so that the Jensen–Shannon divergence is log 2, total variation 1 and Kullback–Leibler infinite,
    whatever θ.

    >>> parallel_segments(theta=-0.5).sample(1)
    0.5
    """
    (n,), theta = checks.sizes(n=n), checks.number("theta", theta)
    height = checks.generator(seed).random(n)
    x = np.stack([np.zeros(n), height], axis=1)
    y = np.stack([np.full(n, theta), height], axis=1)
    known = _always(abs(theta))
    pairing = np.arange(n)
    return Problem("parallel segments", x, y, sample=known, population=known, pairing=pairing)


def translation(
    n: int = 60, d: int = 3, shift: Array | float = 1.0, seed: int | None = 0
) -> Problem:
    """Points against themselves moved by a vector v, in another order: W_p = ‖v‖ for every p.

    Args:
        n: Number of points.
        d: Dimension.
        shift: The vector, shape (d,), or a number for a vector of equal entries.
        seed: Of the points and their order.

    >>> translation(d=2, shift=[3.0, 4.0]).sample(1)
    5.0
    """
    (n, d), rng = checks.sizes(n=n, d=d), checks.generator(seed)
    x = rng.standard_normal((n, d))
    v = np.broadcast_to(np.array(_shift(shift, d)), (d,))
    known = _always(float(np.linalg.norm(v)))
    return _shuffled(Problem("translation", x, x + v, sample=known, population=known), rng)


def _shift(shift: Any, d: int) -> float | tuple[float, ...]:
    """The checked vector, or one number for all of its entries."""
    if np.ndim(shift) == 0:
        return checks.number("shift", shift)
    return checks.numbers("shift", shift, d)


def permutation(n: int = 60, d: int = 3, seed: int | None = 0) -> Problem:
    """The same points in another order: 0 for every p.

    >>> permutation().sample(2)
    0.0
    """
    (n, d), rng = checks.sizes(n=n, d=d), checks.generator(seed)
    x = rng.standard_normal((n, d))
    zero = _always(0.0)
    return _shuffled(Problem("permutation", x, x, sample=zero, population=zero), rng)


def split_weights(n: int = 40, d: int = 2, seed: int | None = 0) -> Problem:
    """Weighted points against the same measure with every point split into two: 0 for every p.

    Some weights are zero and all points of y occur twice, so that solvers meet both.

    >>> problem = split_weights(n=40)
    >>> problem.a.shape, problem.b.shape, problem.sample(1)
    ((40,), (80,), 0.0)
    """
    (n, d), rng = checks.sizes(n=n, d=d), checks.generator(seed)
    x = rng.standard_normal((n, d))
    a = rng.random(n)
    a[rng.random(n) < 0.2] = 0.0
    a[0] = 1.0
    a /= a.sum()
    share = rng.random(n)
    y, b = np.concatenate([x, x]), np.concatenate([a * share, a * (1 - share)])
    return Problem("split weights", x, y, a, b, sample=_always(0.0))


def monotone_line(n: int = 200, seed: int | None = 0) -> Problem:
    """Points on the line and their increasing map y = x + tanh 2x + ½: exact for every p.

    >>> import otdist
    >>> problem = monotone_line()
    >>> abs(otdist.wasserstein(problem.x, problem.y, p=3).distance - problem.sample(3)) < 1e-12
    True
    """
    (n,), rng = checks.sizes(n=n), checks.generator(seed)
    x = rng.standard_normal((n, 1))
    return _paired("monotone line", x, x + np.tanh(2 * x) + 0.5, rng, None)


def convex_gradient(n: int = 100, d: int = 3, seed: int | None = 0) -> Problem:
    """Points x against ∇ψ(x) for a random convex ψ: W_2 is exact, √mean ‖x − ∇ψ(x)‖².

    ψ(x) = ‖x‖²/4 + 2 log Σ_k exp(⟨A_k, x⟩ + c_k), so that ∇ψ(x) = x/2 + 2 Aᵀ softmax(A x + c):
    shrunk and pulled apart towards the rows of A. On the line the answer holds for every p.

    Reference: Korotin et al. (2021), Do neural optimal transport solvers work?

    >>> import otdist
    >>> problem = convex_gradient(n=50, d=3)
    >>> abs(otdist.wasserstein(problem.x, problem.y, p=2).distance - problem.sample(2)) < 1e-9
    True
    """
    (n, d), rng = checks.sizes(n=n, d=d), checks.generator(seed)
    x = rng.standard_normal((n, d))
    rows, offsets = rng.standard_normal((8, d)), rng.standard_normal(8)
    logits = x @ rows.T + offsets
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    y = 0.5 * x + 2 * weights @ rows
    return _paired("convex gradient", x, y, rng, None if d == 1 else (2,))


def gaussian_distance_1d(mean: float, std: float, p: float) -> float:
    """W_p between normal laws on the line whose means differ by `mean`, and deviations by `std`.

    Equal quantiles differ by mean + std·Z with one standard normal Z, so W_p^p = E|mean + std·Z|^p,
    a moment of the folded normal law: σ^p 2^(p/2) Γ((p+1)/2)/√π · ₁F₁(−p/2; ½; −μ²/2σ²)
    (Winkelbauer 2012).

    >>> round(gaussian_distance_1d(2.0, 0.5, 2), 4)
    2.0616
    """
    mean, std = abs(checks.number("mean", mean)), abs(checks.number("std", std))
    p, scale = checks.exponent(p, most=300), max(mean, std) or 1.0  # gamma overflows above p = 340
    mean, std = mean / scale, std / scale
    if std == 0 or mean > 30 * std:  # the series overflows there, and the sign no longer matters
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        moment = np.average((mean + std * nodes).clip(min=0) ** p, weights=weights)
    else:
        moment = std**p * 2 ** (p / 2) * gamma((p + 1) / 2) / np.sqrt(np.pi)
        moment *= hyp1f1(-p / 2, 0.5, -0.5 * (mean / std) ** 2)
    return float(scale * moment ** (1 / p))


def gaussians_1d(
    n: int = 500, m: int = 500, mean: float = 2.0, std: float = 1.5, seed: int | None = 0
) -> Problem:
    """Independent draws of N(0, 1) and N(mean, std²): the laws' W_p is known for every p.

    >>> problem = gaussians_1d(mean=3.0, std=5.0)
    >>> problem.sample(2) is None, problem.population(2)
    (True, 5.0)
    """
    (n, m), rng = checks.sizes(n=n, m=m), checks.generator(seed)
    mean, std = checks.number("mean", mean), checks.number("std", std)
    x, y = rng.standard_normal((n, 1)), mean + std * rng.standard_normal((m, 1))
    return Problem(
        "gaussians 1d", x, y, population=lambda p: gaussian_distance_1d(mean, std - 1, p)
    )


def bures(mean_x: Array, cov_x: Array, mean_y: Array, cov_y: Array) -> float:
    """W_2 between two normal laws: √(‖m_x − m_y‖² + tr(S_x + S_y − 2 (S_x^½ S_y S_x^½)^½)).

    >>> import numpy as np
    >>> round(bures(np.zeros(3), np.eye(3), np.ones(3), 4 * np.eye(3)), 6)  # √(3 + 3 (2 − 1)²)
    2.44949
    """
    values, vectors = np.linalg.eigh(cov_x)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_y @ root).clip(min=0)).sum()
    squared = np.sum((mean_x - mean_y) ** 2) + np.trace(cov_x) + np.trace(cov_y) - 2 * cross
    return float(np.sqrt(max(squared, 0.0)))


def gaussians(n: int = 300, m: int = 300, d: int = 5, seed: int | None = 0) -> Problem:
    """Independent draws of two random normal laws in d dimensions: population W_2 is known (Bures).

    Both means are standard normal; covariances are G Gᵀ/d + I/10 with a square standard normal G.

    >>> problem = gaussians(d=5)
    >>> problem.population(1) is None, problem.population(2) > 1
    (True, True)
    """
    (n, m, d), rng = checks.sizes(n=n, m=m, d=d), checks.generator(seed)
    means = rng.standard_normal((2, d))
    factors = rng.standard_normal((2, d, d))
    covs = factors @ factors.transpose(0, 2, 1) / d + 0.1 * np.eye(d)
    x = means[0] + rng.standard_normal((n, d)) @ np.linalg.cholesky(covs[0]).T
    y = means[1] + rng.standard_normal((m, d)) @ np.linalg.cholesky(covs[1]).T
    exact = bures(means[0], covs[0], means[1], covs[1])
    return Problem("gaussians", x, y, population=lambda p: exact if p == 2 else None)
