"""True distances of the laws in `benchmarks.coverage`: N(0, I) against N(shift e_1, spread² I)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import gamma, hyp1f1
from scipy.stats import norm, t

ATOMS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
WEIGHTS = (np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.4]))


def line_w1(shift: float, spread: float) -> float:
    """W_1 on the line: E|shift + (spread − 1) Z|, a folded normal."""
    s = abs(spread - 1)
    return 2 * s * float(norm.pdf(shift / s)) + shift * (1 - 2 * float(norm.cdf(-shift / s)))


def line_w2(shift: float, spread: float) -> float:
    """W_2 on the line."""
    return math.hypot(shift, spread - 1)


def line_student(shift: float, spread: float) -> float:
    """W_1 on the line between t₃ and shift + spread t₃: E|shift + (spread − 1) T|.

    E|c + s T| = c (2 F(k) − 1) + 2 s ∫_k^∞ t f(t) dt with k = c/s, and the last integral is
    f(k) (3 + k²)/2 for three degrees of freedom.
    """
    s = abs(spread - 1)
    k = shift / s
    return shift * (2 * float(t.cdf(k, 3)) - 1) + s * float(t.pdf(k, 3)) * (3 + k**2)


def sliced_w2(d: int, shift: float, spread: float) -> float:
    """SW_2²: along θ the shift is θ_1 · shift, and E θ_1² = 1/d."""
    return shift**2 / d + (spread - 1) ** 2


def along_best(shift: float, spread: float) -> float:
    """The largest W_2² along a direction, which is e_1."""
    return shift**2 + (spread - 1) ** 2


def mean_norm(d: int, shift: float, variance: float) -> float:
    """E‖Z‖ for Z of law N(shift e_1, variance I)."""
    size = math.sqrt(2 * variance) * gamma((d + 1) / 2) / gamma(d / 2)
    return float(size * hyp1f1(-0.5, d / 2, -(shift**2) / (2 * variance)))


def energy(d: int, shift: float, spread: float) -> float:
    """The squared energy distance."""
    within = mean_norm(d, 0, 2), mean_norm(d, 0, 2 * spread**2)
    return 2 * mean_norm(d, shift, 1 + spread**2) - sum(within)


def mmd(d: int, shift: float, spread: float, bandwidth: float) -> float:
    """MMD² of the Gaussian kernel."""
    b = bandwidth**2

    def mean(shift: float, variance: float) -> float:
        size = (1 + variance / b) ** (-d / 2)
        return size * math.exp(-(shift**2) / (2 * (b + variance)))

    return mean(0, 2) + mean(0, 2 * spread**2) - 2 * mean(shift, 1 + spread**2)


def kid(d: int, shift: float, spread: float) -> float:
    """MMD² of the kernel (u/d + 1)³, by the first three moments of u = ⟨x, y⟩."""
    s2 = spread**2
    return _cubic(d, 0, 0, 1, 1) + _cubic(d, shift, shift, s2, s2) - 2 * _cubic(d, 0, shift, 1, s2)


def exponential_kid(mean: float) -> float:
    """Likewise, of exponential laws of mean 1 and another."""
    moments = [math.factorial(k) for k in range(4)]
    return _kid_on_the_line(moments, [m * mean**k for k, m in enumerate(moments)])


def lognormal_kid(mean: float) -> float:
    """Likewise, of the exponentials of N(0, 1) and N(mean, 1)."""
    first, second = ([math.exp(k * mu + k**2 / 2) for k in range(4)] for mu in (0.0, mean))
    return _kid_on_the_line(first, second)


def _kid_on_the_line(x: Sequence[float], y: Sequence[float]) -> float:
    """From the moments of order 0 to 3 of both laws: (x y + 1)³ is a sum of their products."""
    return sum(math.comb(3, k) * (x[k] - y[k]) ** 2 for k in range(4))


def _cubic(d: int, mean_x: float, mean_y: float, var_x: float, var_y: float) -> float:
    """E(⟨x, y⟩/d + 1)³ for independent normals around mean e_1."""
    c, square_x, square_y = mean_x * mean_y, mean_x**2, mean_y**2
    second = d * var_x * var_y + var_x * square_y + var_y * square_x + c**2
    third = (
        c**3 + 3 * c * var_x * square_y + 3 * var_y * (c * (square_x + d * var_x) + 2 * var_x * c)
    )
    return third / d**3 + 3 * second / d**2 + 3 * c / d + 1


def sinkhorn(d: int, shift: float, spread: float, eps: float) -> float:
    """S_eps at p = 2 between normals (Janati, Muzellec, Peyré and Cuturi 2020, theorem 1)."""
    h = eps / 2

    def cost(a: float, b: float) -> float:  # up to a constant, which the debiasing takes off
        root = math.sqrt(4 * a * b + h**2)
        return a + b - root + h * math.log(root + h)

    s2 = spread**2
    return shift**2 + d * (cost(1, s2) - (cost(1, 1) + cost(s2, s2)) / 2)


def atoms_sinkhorn(eps: float) -> float:
    """S_eps at p = 2 between the laws on `ATOMS`."""
    import otdist

    a, b = WEIGHTS
    return otdist.sinkhorn_divergence(ATOMS, ATOMS, a=a, b=b, p=2, eps=eps, tol=1e-9).cost
