r"""Anderson's acceleration of a fixed-point iteration φ ← T(φ), the way Sinkhorn's steps are taken.

With residuals r_k = T(φ_k) − φ_k and proposals q_k = φ_k + damping·r_k of the last steps, the next
point is Σ α_k q_k, where Σ α = 1 and ‖Σ α_k r_k‖ is least in the b-weighted norm, the one in which
T is (nearly) a contraction (Anderson 1965; Walker, Ni 2011). In differences of successive steps
that is a least-squares problem of at most `DEPTH` unknowns, solved by its normal equations.

Small vectors make this a matter of calls, about twenty operations on arrays a step: those of one
vector of few numbers are numpy's, which take a fifth of the time of torch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.linalg.lapack import dposv  # pyright: ignore[reportAttributeAccessIssue]
from torch import Tensor

DEPTH = 6
"""Steps that are looked back on."""

_RIDGE = 1e-12
_TINY = float(np.finfo(np.float64).tiny)
_FEW = 1024  # entries of a vector, for which calls of torch take longer than the numbers

Step = Callable[[Any], tuple[Any, float]]
"""φ ↦ (T(φ), error of φ), of tensors or of arrays of numpy."""


@dataclass(frozen=True)
class Stop:
    """Where an iteration ended: the point, its error, how many steps, whether it met tol.

    Not converged, the point is T of the last one, whose error is `error`; a Sinkhorn step does not
    increase the L1 error.
    """

    point: Any
    error: float
    iterations: int
    converged: bool


def iterate(
    step: Step, point: Any, b: Any, *, tol: float, max_iter: int, damping: float = 1.0
) -> Stop:
    """Repeat the accelerated step until the error is at most tol.

    Args:
        step: The map and the error of its argument, the largest over a batch.
        point: Where to start, shape (…, m); or an array of numpy (m,), as `step` takes then.
        b: Weights of the norm, shape (…, m), of the same kind.
        tol: Error to stop at.
        max_iter: Steps allowed.
        damping: Share of the residual in a plain step.
    """
    if isinstance(point, Tensor):
        if point.ndim == 1 and len(point) <= _FEW and point.device.type == "cpu":

            def of_array(given: np.ndarray) -> tuple[np.ndarray, float]:
                new, error = step(torch.from_numpy(given))
                return new.numpy(), error

            limits: dict[str, Any] = {"tol": tol, "max_iter": max_iter, "damping": damping}
            stop = iterate(of_array, point.numpy(), b.numpy(), **limits)
            return replace(stop, point=torch.from_numpy(stop.point))
        memory = _Memory(point, b)
    else:
        memory = _MemoryOfFew(point, b)
    best = last = math.inf
    kept = point
    iteration = 0
    while True:
        iteration += 1
        new, error = step(point)
        if error <= tol:
            return Stop(point, error, iteration, True)
        if iteration == max_iter:
            return Stop(new, error, iteration, False)
        if not error < 10 * best and memory.any:  # diverged: back to the best point, a plain step
            point, last = kept, math.inf
            memory.clear()
            continue
        residual = new - point
        proposal = new if damping == 1 else point + damping * residual
        if error > 3 * last:
            memory.clear()
        if error < best:
            best, kept = error, proposal
        last = error
        point = memory.extrapolate(proposal, residual)


class _Memory:
    """The last differences of proposals and of residuals, newest written over oldest."""

    def __init__(self, point: Tensor, b: Tensor) -> None:
        shape = (*point.shape[:-1], DEPTH, point.shape[-1])
        self.proposals, self.residuals = point.new_empty(shape), point.new_empty(shape)
        self.weighted, self.b = point.new_empty(shape), b
        self.clear()

    def clear(self) -> None:
        self.count = 0
        self.last: tuple[Tensor, Tensor] | None = None

    @property
    def any(self) -> bool:
        return self.last is not None

    def extrapolate(self, proposal: Tensor, residual: Tensor) -> Tensor:
        """The next point; the proposal itself as long as nothing is remembered."""
        before, self.last = self.last, (proposal, residual)
        if before is None:
            return proposal
        slot = self.count % DEPTH
        self.count += 1
        torch.sub(proposal, before[0], out=self.proposals[..., slot, :])
        change = torch.sub(residual, before[1], out=self.residuals[..., slot, :])
        torch.mul(change, self.b, out=self.weighted[..., slot, :])
        known = min(self.count, DEPTH)
        weighted = self.weighted[..., :known, :]
        gram = weighted @ self.residuals[..., :known, :].mT
        diagonal = gram.diagonal(dim1=-2, dim2=-1)
        ridge = diagonal.amax(-1, keepdim=True).mul_(_RIDGE).add_(torch.finfo(gram.dtype).tiny)
        diagonal.add_(ridge)
        gamma, _ = torch.linalg.solve_ex(gram, weighted @ residual[..., None])
        return proposal - (self.proposals[..., :known, :].mT @ gamma)[..., 0]


class _MemoryOfFew:
    """The same for one vector of numpy, whose solution of six equations takes a fifth of the time.

    Products of differences are kept: a step adds one row and column of them.
    """

    def __init__(self, point: np.ndarray, b: np.ndarray) -> None:
        shape = (DEPTH, len(point))
        self.proposals, self.residuals = np.empty(shape), np.empty(shape)
        self.gram, self.b = np.empty((DEPTH, DEPTH)), b
        self.clear()

    def clear(self) -> None:
        self.count = 0
        self.last: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def any(self) -> bool:
        return self.last is not None

    def extrapolate(self, proposal: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """The next point; the proposal itself as long as nothing is remembered."""
        before, self.last = self.last, (proposal, residual)
        if before is None:
            return proposal
        slot = self.count % DEPTH
        self.count += 1
        known = min(self.count, DEPTH)
        residuals = self.residuals[:known]
        np.subtract(proposal, before[0], self.proposals[slot])
        change = np.subtract(residual, before[1], residuals[slot])
        self.gram[slot, :known] = self.gram[:known, slot] = residuals.dot(change * self.b)
        gram = self.gram[:known, :known].copy()
        diagonal = gram.ravel()[:: known + 1]
        diagonal += np.maximum.reduce(diagonal) * _RIDGE + _TINY
        _, gamma, failed = dposv(gram, residuals.dot(residual * self.b))
        return proposal if failed else proposal - gamma.dot(self.proposals[:known])
