"""What the functions return: a number, its certified bracket, and how it was found.

Results are frozen, pickle, print as one line. Plans and potentials are computed when asked for.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from otdist.core import draws, telling
from otdist.core.arrays import Kind
from otdist.core.number import AsNumber

Number = float | Tensor
Array = np.ndarray | Tensor


class ConvergenceWarning(UserWarning):
    """A solver stopped before reaching its tolerance; its bracket is valid all the same.

    >>> import warnings
    >>> import numpy as np
    >>> import otdist
    >>> x, y = np.random.default_rng(0).normal(size=(2, 100, 2))
    >>> with warnings.catch_warnings(record=True) as issued:
    ...     warnings.simplefilter("always")
    ...     rough = otdist.wasserstein(x, y, solver=otdist.Sinkhorn(eps=0.001, max_iter=2))
    >>> issued[0].category.__name__, rough.converged
    ('ConvergenceWarning', False)
    >>> rough.lower <= otdist.wasserstein(x, y).distance <= rough.upper
    True
    """


def warn_caller(message: str, category: type[Warning] = ConvergenceWarning) -> None:
    """Issue a warning that points at the line of the caller, outside this package and torch."""
    if (told := telling.collected()) is not None:
        told.append((message, category))
        return
    frame, level = sys._getframe(), 0
    while frame is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level + 1)


_INSIDE = (
    str(Path(__file__).parents[1]) + os.sep,
    str(Path(torch.__file__).parent) + os.sep,
    contextlib.__file__,
)


def plain(value: Number) -> float:
    """The Python number in a float or a 0-d tensor, whose graph stays behind."""
    return float(value.detach() if isinstance(value, Tensor) else value)


@dataclass(frozen=True)
class Bracket:
    """Two numbers with the exact distance between them, for the two given weighted samples.

    Attributes:
        lower: Not above the exact W_p, in the units of x.
        upper: Not below it.

    >>> 1.0 in Bracket(0.9, 1.2), round(Bracket(0.9, 1.2).gap, 3)
    (True, 0.3)
    """

    lower: float
    upper: float

    @property
    def gap(self) -> float:
        """Width of the bracket, upper − lower."""
        return self.upper - self.lower

    def proves(self, rtol: float) -> bool:
        """Whether `upper` is within the relative accuracy `rtol` of the exact distance."""
        return self.upper - self.lower <= rtol * self.lower or self.upper == 0

    def around(self, distance: Number) -> Bracket:
        """The bracket with a distance inside that the rounding to its precision took out of it."""
        if not isinstance(distance, Tensor) or distance.dtype == torch.float64:
            return self
        value, precision = plain(distance), torch.finfo(distance.dtype)
        error = precision.eps * (abs(value) + precision.smallest_normal)
        near = self.lower - error <= value <= self.upper + error < math.inf
        return Bracket(min(self.lower, value), max(self.upper, value)) if near else self

    def __contains__(self, value: float) -> bool:
        return self.lower <= value <= self.upper


@dataclass(frozen=True)
class Arcs:
    """A sparse plan: mass k goes from point rows[k] to point cols[k].

    Attributes:
        rows: int64, shape (k,).
        cols: int64, shape (k,).
        mass: float64, shape (k,), positive.
        shape: (n, m).
    """

    rows: Tensor
    cols: Tensor
    mass: Tensor
    shape: tuple[int, int]

    @staticmethod
    def of(plan: Any) -> Arcs:
        """The arcs of a sparse plan: of scipy.sparse, or a torch sparse tensor."""
        if isinstance(plan, Tensor):
            plan = plan.detach().coalesce()
            rows, cols = plan.indices()
            mass = plan.values()
        else:
            plan = plan.tocoo()
            rows, cols, mass = (
                torch.from_numpy(np.ascontiguousarray(part)) for part in (*plan.coords, plan.data)
            )
        return Arcs(rows.long(), cols.long(), mass.double(), (plan.shape[0], plan.shape[1]))

    def sparse(self, kind: Kind) -> scipy.sparse.coo_array | Tensor:
        """As scipy.sparse for numpy callers, as a torch sparse tensor for torch callers."""
        if kind.torch:
            index = torch.stack([self.rows, self.cols])
            return torch.sparse_coo_tensor(
                index, self.mass, self.shape, check_invariants=False
            ).coalesce()
        where = (self.rows.numpy(), self.cols.numpy())
        return scipy.sparse.coo_array((self.mass.detach().numpy(), where), shape=self.shape)


class _Answer(AsNumber):
    """A number that pickles without its graph; lazy values that were computed travel."""

    distance: Any

    def __float__(self) -> float:
        return plain(self.distance)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.items()
        return {name: v.detach() if isinstance(v, Tensor) else v for name, v in state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


@dataclass(frozen=True, repr=False, eq=False)
class OTResult(_Answer):
    """Result of `wasserstein` and `transport`, whichever solver made it.

    Attributes:
        distance: W_p of the best feasible plan found, in the units of x; exact when the bracket
            is closed. A float, or a 0-d tensor for torch input.
        cost: W_p^p; `inf` where the type of x cannot hold it although it holds the distance (above
            65,504 in float16).
        p: Exponent.
        lower: Certified: the exact W_p is not below it.
        upper: Certified: the exact W_p is not above it; `distance` up to rounding slack.
        solver: Name of the method.
        converged: Whether the solver reached what it was asked for.
        message: One sentence on how it ended; the remedy when it did not converge.
        iterations: Iterations of the solver (0 for a closed form).
        seconds: Wall-clock time of the solver.

    >>> import otdist
    >>> result = otdist.wasserstein([0.0, 1.0], [2.0, 5.0])
    >>> result.distance, result.plan.toarray().tolist()
    (3.0, [[0.5, 0.0], [0.0, 0.5]])
    """

    distance: Any
    cost: Any
    p: float
    lower: float
    upper: float
    solver: str
    converged: bool
    message: str
    iterations: int
    seconds: float
    _potentials: Callable[[], tuple[Array, Array]] = field(default=None)  # pyright: ignore[reportAssignmentType]
    _plan: Callable[[], Any] = field(default=None)  # pyright: ignore[reportAssignmentType]
    details: dict[str, Any] = field(default_factory=dict)
    """Figures of one solver only, such as `eps` and the marginal error of Sinkhorn."""

    @cached_property
    def potentials(self) -> tuple[Array, Array]:
        """(f, g), shapes (n,) and (m,), in cost units: f_i + g_j ≤ c_ij for all pairs."""
        return self._potentials()

    @cached_property
    def plan(self) -> Any:
        """The transport plan, sparse, shape (n, m): scipy.sparse, or a torch sparse tensor."""
        return self._plan()

    def sample(self, k: int, seed: int | None = 0) -> tuple[Array, Array]:
        """Draw k pairs of indices (i, j) from the plan, int64, shapes (k,), as for flow matching.

        Independent draws, each in proportion to its mass; but all n pairs, each once and shuffled,
        where the plan is a permutation and k = n. Equal for numpy and torch; O(n + m + k) numbers.

        Raises:
            TypeError, ValueError: k is no integer of at least 1; a bad seed.

        >>> import otdist
        >>> i, j = otdist.wasserstein([0.0, 1.0], [5.0, 2.0]).sample(2)
        >>> sorted(zip(i.tolist(), j.tolist()))
        [(0, 1), (1, 0)]
        """
        return draws.pairs(self.plan, k, seed)

    @property
    def moved_x(self) -> Array:
        """Mass that the plan takes from each point of x, shape (n,), without a graph."""
        return draws.sums(self.plan, 1)

    @property
    def moved_y(self) -> Array:
        """Mass that the plan brings to each point of y, shape (m,), without a graph."""
        return draws.sums(self.plan, 0)

    @property
    def gap(self) -> float:
        """Width of the bracket, upper − lower."""
        return self.upper - self.lower

    @property
    def bracket(self) -> Bracket:
        """The certified bracket as one object."""
        return Bracket(self.lower, self.upper)

    def __repr__(self) -> str:
        state = "" if self.converged else ", not converged"
        return (
            f"W_{self.p:g} = {float(self):.5g}  [{self.lower:.5g}, {self.upper:.5g}]  "
            f"{self.solver}, {self.seconds:.2f} s{state}"
        )


@dataclass(frozen=True, repr=False, eq=False)
class SlicedResult(_Answer):
    """Result of `sliced_wasserstein`.

    Attributes:
        distance: SW_p: the root of the average W_p^p over directions, in the units of x.
        cost: SW_p^p, that average.
        p: Exponent.
        stderr: Monte-Carlo standard error of `distance` over directions; not a bound.
        slices: W_p along each direction, shape (L,), in the units of x.
        directions: Unit rows, shape (L, d).
        seconds: Wall-clock time.
        error: Bound on how far `distance` is from the same average over exact slices, where the
            slices were sketched (samples larger than memory); 0 otherwise.
        maximal: Whether the one direction is that of the largest slice found.

    >>> import otdist
    >>> result = otdist.sliced_wasserstein([[0.0, 0.0]], [[3.0, 4.0]])
    >>> result.distance <= 5 and 5 in result.bracket
    True
    """

    distance: Any
    cost: Any
    p: float
    stderr: float
    slices: Array
    directions: Array
    seconds: float
    _bracket: Callable[[], Bracket] = field(default=None)  # pyright: ignore[reportAssignmentType]
    error: float = 0.0
    maximal: bool = False

    @cached_property
    def bracket(self) -> Bracket:
        """Certified bracket on W_p itself, computed when first asked for."""
        return self._bracket()

    def __repr__(self) -> str:
        if self.maximal:
            return f"max-SW_{self.p:g} = {float(self):.5g}  {self.seconds:.2f} s"
        sketched = f" (sketch ± {self.error:.1g})" if self.error else ""
        return (
            f"SW_{self.p:g} = {float(self):.5g} ± {self.stderr:.1g}{sketched}  "
            f"{len(self.directions)} directions, {self.seconds:.2f} s"
        )


@dataclass(frozen=True, repr=False, eq=False)
class DivergenceResult(_Answer):
    """Result of an entropic objective: `sinkhorn_divergence` or the entropic cost alone.

    It carries no bracket, because it is not W_p.

    Attributes:
        distance: cost ** (1/p), in the units of x.
        cost: The objective, in units**p.
        p: Exponent.
        eps: Entropic strength, in cost units.
        potentials: (f, g), shapes (n,) and (m,), in cost units.
        converged: Whether every marginal error fell below the tolerance.
        message: One sentence on how it ended; the remedy when it did not converge.
        iterations: Sinkhorn iterations.
        residual: Largest error that `tol` is about; the L1 marginal error is not above it.
        seconds: Wall-clock time.
        debiased: Whether `cost` is S_eps; otherwise it is OT_eps.

    >>> import otdist
    >>> result = otdist.sinkhorn_divergence([0.0, 1.0], [2.0, 3.0], p=2, eps=0.1)
    >>> round(result.cost, 3), result.converged
    (4.0, True)
    """

    distance: Any
    cost: Any
    p: float
    eps: float
    potentials: tuple[Array, Array]
    converged: bool
    message: str
    iterations: int
    residual: float
    seconds: float
    debiased: bool = True

    def __repr__(self) -> str:
        state = "" if self.converged else ", not converged"
        name = f"S_{self.p:g}" if self.debiased else f"OT_eps ({self.p:g})"
        return (
            f"{name} = {plain(self.cost):.5g}  eps = {self.eps:.3g}, "
            f"{self.iterations} iterations, {self.seconds:.2f} s{state}"
        )
