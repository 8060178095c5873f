r"""Conjugates of convex functions, many at once: ψ*(y) = max_x ⟨x, y⟩ − ψ(x), by L-BFGS.

Each row is a problem of its own, with its own curvature pairs and its own step; all share the
evaluations of ψ. Rows that have converged leave the batch. If ψ is α-strongly convex, any point x
with residual r = y − ∇ψ(x) bounds the maximum from both sides,

.. math::  0 \le ψ^*(y) - \big(⟨x, y⟩ - ψ(x)\big) \le \|r\|^2 / 2α,

because x ↦ ⟨x, y⟩ − ψ(x) is α-strongly concave: whatever the iteration reached, the error is known.

Reference: Liu and Nocedal (1989), On the limited memory BFGS method; Amos (2023), On amortizing
    convex conjugates for optimal transport.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MEMORY = 10
"""Curvature pairs that are kept."""

SUFFICIENT = 1e-4
"""Share of the expected decrease that a step must reach (Armijo)."""

HALVINGS = 20
"""Of one step, before a row gives up: rounding has stopped it."""


@dataclass(frozen=True)
class Conjugate:
    """Conjugates of n points.

    Attributes:
        points: Near-maximisers x, shape (n, d): the gradient of ψ* at y.
        values: ⟨x, y⟩ − ψ(x), shape (n,): not above ψ*(y).
        residuals: ‖y − ∇ψ(x)‖, shape (n,).
    """

    points: Tensor
    values: Tensor
    residuals: Tensor

    def at_most(self, alpha: float) -> Tensor:
        """Upper bounds of ψ*(y) for an α-strongly convex ψ, shape (n,)."""
        return self.values + self.residuals.square() / (2 * alpha)


def conjugate(
    potential: Callable[[Tensor], Tensor],
    y: Tensor,
    start: Tensor,
    inverse: Tensor,
    *,
    tolerance: float,
    iterations: int,
) -> Conjugate:
    """Conjugates of a smooth convex function at the rows of y.

    Args:
        potential: Points (n, d) → values (n,), each of its own row.
        y: Shape (n, d).
        start: First points, shape (n, d).
        inverse: First guess of the inverse Hessian, for all rows, shape (d, d).
        tolerance: A row is done when its residual is below.
        iterations: At most; later residuals are what they are.

    >>> y = torch.tensor([[2.0, 4.0]], dtype=torch.float64)
    >>> half = lambda x: x.square().sum(1)  # ψ = ‖x‖², ψ* = ‖y‖²/4
    >>> eye = torch.eye(2, dtype=torch.float64)
    >>> conjugate(half, y, 0 * y, eye, tolerance=1e-9, iterations=50).values
    tensor([5.], dtype=torch.float64)
    """
    y, x = y.detach(), start.detach().clone()
    value, slope = _evaluate(potential, x, y)
    rows = torch.arange(len(x), device=x.device)
    moves, turns = (x.new_zeros(0, *x.shape) for _ in range(2))
    for _ in range(iterations):
        going = (slope[rows].norm(dim=1) > tolerance).nonzero()[:, 0]
        if len(going) == 0:
            break
        rows, moves, turns = rows[going], moves[:, going], turns[:, going]
        along = -_two_loops(slope[rows], moves, turns, inverse)
        step = _search(potential, x[rows], y[rows], (value[rows], slope[rows]), along)
        found, at, new = step
        turn = new - slope[rows]
        moves = torch.cat([moves, (at - x[rows])[None]])[-MEMORY:]
        turns = torch.cat([turns, turn[None]])[-MEMORY:]
        stuck = found == value[rows]
        x[rows], value[rows], slope[rows] = at, found, new
        keep = (~(stuck & (turn == 0).all(1))).nonzero()[:, 0]
        rows, moves, turns = rows[keep], moves[:, keep], turns[:, keep]
    return Conjugate(x, -value, slope.norm(dim=1))


def _evaluate(potential: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """ψ(x) − ⟨x, y⟩ and its gradient in x, without a graph."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        value = potential(at).reshape(len(at)) - (at * y).sum(1)
        (slope,) = torch.autograd.grad(value.sum(), at)
    return value.detach(), slope


def _two_loops(slope: Tensor, moves: Tensor, turns: Tensor, inverse: Tensor) -> Tensor:
    """The inverse Hessian of the kept pairs times the slopes, shape (n, d).

    Args:
        slope: Shape (n, d).
        moves: Differences of points, oldest first, shape (k, n, d).
        turns: Differences of slopes, likewise.
        inverse: What the recursion starts from, shape (d, d).
    """
    products = (moves * turns).sum(2)  # positive for a strongly convex function, but for rounding
    rho = torch.where(products > 0, 1 / products, 0.0)
    q, shares = slope.clone(), []
    for k in reversed(range(len(moves))):
        share = rho[k] * (moves[k] * q).sum(1)
        q = q - share[:, None] * turns[k]
        shares.append(share)
    r = q @ inverse
    for k, share in zip(range(len(moves)), reversed(shares), strict=True):
        back = rho[k] * (turns[k] * r).sum(1)
        r = r + (share - back)[:, None] * moves[k]
    return r


def _search(
    potential: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    here: tuple[Tensor, Tensor],
    along: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Halve each row's step until its value falls enough: values, points, slopes there."""
    value, slope = here
    fall = (along * slope).sum(1)
    at = x + along
    found, new = _evaluate(potential, at, y)
    length = torch.ones_like(value)
    noise = 4 * torch.finfo(value.dtype).eps * value.abs()
    for _ in range(HALVINGS):
        short = ~(found <= value + SUFFICIENT * length * fall + noise)  # also where it is NaN
        if not bool(short.any()):
            return found, at, new
        rows = short.nonzero()[:, 0]
        length[rows] /= 2
        at[rows] = x[rows] + length[rows, None] * along[rows]
        found[rows], new[rows] = _evaluate(potential, at[rows], y[rows])
    rows = (~(found <= value + noise)).nonzero()[:, 0]
    at[rows], found[rows], new[rows] = x[rows], value[rows], slope[rows]
    return found, at, new
