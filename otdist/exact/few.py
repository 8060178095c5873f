"""Exact transport between few plain points of numpy, without a task and threads around it.

The solver and its proof are those of `exact`; what stands around them takes 1.5 of the 7 ms of 200
points, and more than the solution of up to about a hundred.
"""

from __future__ import annotations

import time
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from otdist.core.answer import ProvedPlan, plan_of, potentials_of
from otdist.core.arrays import NUMPY
from otdist.core.frame import Framed
from otdist.core.point_cost import PointCost
from otdist.core.result import OTResult
from otdist.core.threads import SMALL
from otdist.core.units import Units, finish
from otdist.exact import cost_matrix, dense, matrix, network_simplex
from otdist.exact.exact import MESSAGE, original


class ArrayCost(PointCost):
    """‖x_i − y_j‖^p between points of numpy, float64, which are tensors when first asked for.

    Code of torch that has left the cache costs a small call more than the rest of its set-up.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, p: float) -> None:
        self._arrays, self.p = (x, y), float(p)
        self.shape, self.dimension = (len(x), len(y)), x.shape[1]
        self.dtype, self.device, self._lifted = torch.float64, torch.device("cpu"), None

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Both samples."""
        return self._arrays

    @cached_property
    def x(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The sources."""
        return torch.from_numpy(self._arrays[0])

    @cached_property
    def y(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The targets."""
        return torch.from_numpy(self._arrays[1])


def solve_few(both: Framed, p: float) -> OTResult | None:
    """W_p of few plain points, without a task around them.

    None where the bracket stays open, and where points are many or may be equal: those are merged.
    """
    x, y, a, b = both.x, both.y, both.a, both.b
    n, m = len(x), len(y)
    if n * m > matrix.ALL_PAIRS and (n * m > SMALL or _repeats(x) or _repeats(y)):
        return None
    cost = ArrayCost(x, y, p)
    mass_a = _shares(a, n)
    mass_b = mass_a if a is None and b is None and n == m else _shares(b, m)
    uniform = matrix.is_assignment(mass_a, mass_b, not (a is None and b is None))
    if not matrix.needs_no_flow(len(mass_a), uniform, cost_matrix.in_plane(cost)):
        network_simplex.load()
    begin = time.perf_counter()
    found = dense.solve(cost, mass_a, mass_b, uniform, both.scale)
    if not found.closed:
        return None
    proof = ProvedPlan(found.cost, found.bracket, partial(original, found))
    units = Units(p, both.scale * found.unit, NUMPY)
    return finish(
        units, found.cost, found.bracket, solver="exact", message=MESSAGE, begin=begin,
        potentials=partial(potentials_of, units, proof), plan=partial(plan_of, NUMPY, proof),
    )  # fmt: skip


def _repeats(points: np.ndarray) -> bool:
    """Whether points (n, d) agree in their first coordinate, as equal ones do."""
    first = points[:, 0].copy()
    first.sort()
    return bool((first[1:] == first[:-1]).any())


def _shares(weights: np.ndarray | None, n: int) -> np.ndarray:
    """Weights of sum one, to the last digit those of `measure`."""
    if weights is None:
        return np.full(n, 1 / n)
    return weights / np.add.reduce(weights)
