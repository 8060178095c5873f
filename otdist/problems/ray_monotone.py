r"""Ray-monotone pairs: known W_1 and a known optimal critic in any dimension.

Let u(x) = min_n ‖x − a_n‖ + b_n, a minimum of N *funnels*; it is 1-Lipschitz, and along the ray
from the centre a* of the funnel that attains the minimum it grows at rate one. Draw y in the box,
follow its ray to the point `top` where it leaves the funnel's cell or the box, and pull y back
towards the centre,

    x = a* + t⁸ (top − a*),   t = ‖y − a*‖ / ‖top − a*‖ ∈ [0, 1].

Mass moves along rays only, so u(y) − u(x) = ‖y − x‖ for each pair: u proves the pairing optimal
(Kantorovich and Rubinstein), for the laws P of x and Q of y and equally for every finite sample of
pairs. The optimal critic, high on P, is −u.

Reference: Korotin, Kolesov, Burnaev (2022), Kantorovich Strikes Back! Wasserstein GANs are not
    Optimal Transport?
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from otdist.core import checks
from otdist.problems.pairs import Array, Problem

_BOX = 2.5
_POWER = 8
_BLOCK = 2**22
"""Entries of a block of (points, funnels, dimensions): 32 MB."""


@dataclass(frozen=True)
class RayMonotone:
    """A pair of laws in d dimensions with n_funnels funnels, drawn from the seed.

    Attributes:
        d: Dimension.
        n_funnels: Number of funnels N of the potential; more are harder for a critic.
        seed: Of the funnels (not of the samples).

    >>> pair = RayMonotone(d=2, n_funnels=4)
    >>> x, y = pair.draw(1000)
    >>> gap = pair.critic(x).mean() - pair.critic(y).mean()
    >>> bool(np.isclose(gap, np.linalg.norm(x - y, axis=1).mean()))
    True
    """

    d: int
    n_funnels: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the sizes."""
        d, n_funnels = checks.sizes(d=self.d, n_funnels=self.n_funnels)
        checks.settle(self, d=d, n_funnels=n_funnels, seed=checks.seed(self.seed, none=False))

    def _rng(self, stream: int) -> np.random.Generator:
        """Streams of the funnels, apart from those of samples with the same seed."""
        return np.random.default_rng([self.seed, stream, self.d, self.n_funnels])

    @cached_property
    def centres(self) -> Array:
        """The a_n, uniform on the box [−2.5, 2.5]^d, shape (n_funnels, d)."""
        return self._rng(0).uniform(-_BOX, _BOX, (self.n_funnels, self.d))

    @cached_property
    def heights(self) -> Array:
        """The b_n, normal with deviation 0.1, shape (n_funnels,)."""
        return 0.1 * self._rng(1).standard_normal(self.n_funnels)

    def _funnel(self, points: Array) -> tuple[Array, np.ndarray]:
        """The potential u at the points, and the index of the funnel that attains it."""
        value = np.empty(len(points))
        index = np.empty(len(points), dtype=np.int64)
        step = max(1, _BLOCK // (self.n_funnels * self.d))
        for start in range(0, len(points), step):
            block = slice(start, start + step)
            difference = points[block, None, :] - self.centres
            funnels = np.sqrt(np.einsum("nkd,nkd->nk", difference, difference)) + self.heights
            index[block] = funnels.argmin(axis=1)
            value[block] = funnels.min(axis=1)
        return value, index

    def critic(self, points: Array) -> Array:
        """The optimal critic −u, high on P (x) and low on Q (y), shape (k,)."""
        return -self._funnel(points)[0]

    def critic_gradient(self, points: Array) -> Array:
        """Gradient of the optimal critic: unit vectors towards the own centre, shape (k, d)."""
        ray = self.centres[self._funnel(points)[1]] - points
        return ray / np.linalg.norm(ray, axis=1, keepdims=True)

    def draw(self, n: int, seed: int | None = 0) -> tuple[Array, Array]:
        """Paired samples (x, y) of shape (n, d): x_i and y_i on one ray, W_1 = mean ‖x_i − y_i‖.

        Take x and y from two calls with different seeds for independent samples of the two laws.
        """
        y = checks.generator(seed).uniform(-_BOX, _BOX, (n, self.d))
        value, own = self._funnel(y)
        centre = self.centres[own]
        length = np.linalg.norm(y - centre, axis=1)
        along = (y - centre) / length[:, None]
        beyond = self._exit(y, value, own, along)
        t = length / (length + beyond)
        return centre + (t**_POWER * (length + beyond))[:, None] * along, y

    def _exit(self, y: Array, value: Array, own: np.ndarray, along: Array) -> Array:
        """Distance from y along its ray to the edge of the funnel's cell or of the box, shape (n,).

        At distance r the potential of the own funnel is u(y) + r, that of funnel k is ‖y + r v −
        a_k‖ + b_k. They are equal at r_k = ½ (‖y − a_k‖² − δ²) / (δ − ⟨y − a_k, v⟩) with δ = u(y) −
        b_k, a genuine root where r_k > 0 and δ + r_k > 0.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            to_wall = np.where(along > 0, (_BOX - y) / along, (-_BOX - y) / along)
            nearest = np.where(along == 0, np.inf, to_wall).min(axis=1)
            for k in range(self.n_funnels):
                difference = y - self.centres[k]
                delta = value - self.heights[k]
                numerator = 0.5 * (np.einsum("nd,nd->n", difference, difference) - delta**2)
                r = numerator / (delta - np.einsum("nd,nd->n", difference, along))
                genuine = (own != k) & (r > 0) & (r > -delta)
                nearest = np.where(genuine, np.minimum(nearest, r), nearest)
        return nearest

    def w1(self, n: int = 2**16, seed: int | None = 1) -> tuple[float, float]:
        """Population W_1 = E‖x − y‖ by Monte Carlo over n pairs, and its standard error."""
        x, y = self.draw(n, seed)
        length = np.linalg.norm(x - y, axis=1)
        return float(length.mean()), float(length.std(ddof=1) / np.sqrt(n))

    def problem(self, n: int = 500, seed: int | None = 0) -> Problem:
        """A sample of n pairs, y shuffled, as a problem whose W_1 is exact for the sample."""
        x, y = self.draw(n, seed)
        exact = float(np.linalg.norm(x - y, axis=1).mean())
        order = checks.generator(seed).permutation(n)
        return Problem(
            f"ray-monotone d={self.d}",
            x,
            y[order],
            sample=lambda p: exact if p == 1 else None,
            pairing=np.argsort(order),
        )
