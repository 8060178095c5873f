r"""Convex potentials: a quadratic part and an input-convex network, strongly convex throughout.

.. math::  ψ(x) = \tfrac12 x^\top (αI + R R^\top)\, x + ⟨b, x⟩ + \mathrm{net}(x)

The network's hidden layers see x through free weights and one another through squared ones, and
its activation is convex and increasing: a positive combination of convex functions, composed with
an increasing convex one, is convex. So ψ − α‖x‖²/2 is convex whatever the parameters are, and
x ↦ ∇ψ(x) is an optimal transport map at p = 2 from any distribution to its image (Brenier 1991).

The quadratic part starts at the map between the normal distributions of the samples' moments:
affine pairs are solved before training begins, and the others are well conditioned.

Reference: Amos, Xu, Kolter (2017), Input convex neural networks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from otdist.core import checks
from otdist.core.certificate import UNIT
from otdist.critics.conjugate import Conjugate, conjugate
from otdist.critics.randomness import seeded

ALPHA = 0.01
"""Strong convexity, in the frame: maps contract no direction by more than a hundredth."""

SHARP, START = 3.0, 0.1
"""Spread of the first weights on points of unit spread, and weight of the network in the first
potential: kinks that are there from the start are moved, not found. With 1 and 0.02 instead, the
map of a convex gradient in eight dimensions leaves 20% of the variance after 400 steps, not 3%."""


class ConvexPotential(nn.Module):
    """An α-strongly convex, smooth function.

    Args:
        d: Dimension of the points.
        widths: Of the network's hidden layers.
        hessian: First quadratic part, symmetric, shape (d, d); the identity when None.
        shift: First b, shape (d,); zero when None.
        seed: Of the first weights; torch's global generator is left as it was.

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    >>> up, middle, down = ConvexPotential(2)(x)
    >>> bool((up + down) / 2 - middle >= ALPHA / 2)
    True
    """

    def __init__(
        self,
        d: int,
        widths: tuple[int, ...] = (64, 64),
        *,
        hessian: Tensor | None = None,
        shift: Tensor | None = None,
        seed: int | None = 0,
    ) -> None:
        super().__init__()
        d, widths = checks.whole("d", d), checks.wholes("widths", widths)
        hessian = torch.eye(d) if hessian is None else _of_shape("hessian", hessian, (d, d))
        self.root = nn.Parameter(_root(hessian))
        shift = torch.zeros(d) if shift is None else _of_shape("shift", shift, (d,)).clone()
        self.shift = nn.Parameter(shift)
        with seeded(seed):
            layers = [nn.Linear(d, width) for width in widths]
            for layer in layers:
                nn.init.normal_(layer.weight, 0, SHARP / d**0.5)
        self.seen = nn.ModuleList(layers)
        self.passed = nn.ParameterList(
            nn.Parameter(torch.full((after, before), before**-0.5))
            for before, after in zip(widths, (*widths[1:], 1), strict=True)
        )
        with torch.no_grad():
            self.passed[-1].fill_((START / widths[-1]) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Values at x (n, d), shape (n,)."""
        hidden = functional.softplus(self.seen[0](x))
        for weight, layer in zip(self.passed[:-1], self.seen[1:], strict=True):
            hidden = functional.softplus(functional.linear(hidden, weight.square()) + layer(x))
        net = functional.linear(hidden, self.passed[-1].square())[:, 0]
        quadratic = (x @ self.root).square().sum(1) + ALPHA * x.square().sum(1)
        return quadratic / 2 + x @ self.shift + net

    def hessian(self) -> Tensor:
        """Of the quadratic part, shape (d, d): not above the whole Hessian."""
        root = self.root.detach()
        return root @ root.mT + ALPHA * torch.eye(len(root), dtype=root.dtype, device=root.device)

    def gradient(self, x: Tensor) -> Tensor:
        """∇ψ at x (n, d), without a graph."""
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            return torch.autograd.grad(self(at).sum(), at)[0]

    def conjugates(
        self, y: Tensor, tolerance: float, iterations: int, start: Tensor | None = None
    ) -> Conjugate:
        """Conjugates ψ*(y) at y (n, d), begun at the optimum of the quadratic part, or `start`."""
        hessian = self.hessian()
        inverse, singular = torch.linalg.inv_ex(hessian)
        if singular:  # to rounding: parameters that blew up
            inverse = hessian.diagonal().reciprocal().diag()
        start = (y - self.shift.detach()) @ inverse if start is None else start
        return conjugate(self, y, start, inverse, tolerance=tolerance, iterations=iterations)

    @torch.no_grad()
    def rounding(self, x: Tensor) -> Tensor:
        """How far float64 arithmetic may move the values at x (n, d), shape (n,).

        A unit of rounding per operation, times the value that the network would have if all terms
        were added by their absolute values; softplus adds at most log 2 to those.
        """
        x, hidden = x.abs(), x.new_zeros(len(x), 0)
        weights = [x.new_zeros(0), *(w.square() for w in self.passed)]
        for layer, weight in zip(self.seen, weights, strict=False):
            assert isinstance(layer, nn.Linear)
            seen = functional.linear(x, layer.weight.abs(), layer.bias.abs()) + math.log(2)
            hidden = seen if hidden.shape[1] == 0 else seen + functional.linear(hidden, weight)
        size = functional.linear(hidden, weights[-1])[:, 0] + x @ self.shift.abs()
        size = size + (x @ self.root.abs()).square().sum(1) + ALPHA * x.square().sum(1)
        return UNIT * (8 + sum(p.numel() for p in self.parameters())) * size


def normal_map(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    r"""Hessian and shift of the potential that moves one normal distribution to another.

    x ↦ m_y + A (x − m_x) with A = S_x^{−½} (S_x^{½} S_y S_x^{½})^{½} S_x^{−½}; a little is added
    to both covariances, so that flat samples have a map.

    Args:
        x: Sample that gives the first moments, shape (n, d).
        y: That gives the second, shape (m, d).
    """
    means = [s.mean(0) for s in (x, y)]
    covs = [torch.cov(s.mT, correction=0).reshape(2 * s.shape[1:]) for s in (x, y)]
    floor = 1e-3 * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    first, second = (cov + floor for cov in covs)
    values, vectors = torch.linalg.eigh(first)
    up, down = ((vectors * values.pow(power)) @ vectors.mT for power in (0.5, -0.5))
    middle = up @ second @ up
    values, vectors = torch.linalg.eigh((middle + middle.mT) / 2)
    a = down @ ((vectors * values.clamp(min=0).sqrt()) @ vectors.mT) @ down
    a = (a + a.mT) / 2
    return a, means[1] - a @ means[0]


def _root(hessian: Tensor) -> Tensor:
    """R with αI + R Rᵀ equal to the matrix, or as near as α allows."""
    values, vectors = torch.linalg.eigh(hessian)
    return vectors * (values - ALPHA).clamp(min=1e-6).sqrt()


def _of_shape(name: str, value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A finite tensor of that shape."""
    checks.instance(name, value, Tensor, f"a tensor of shape {shape}")
    if tuple(value.shape) != shape or not bool(value.isfinite().all()):
        raise ValueError(f"{name} must be finite and of shape {shape}: got {checks.shown(value)}")
    return value
