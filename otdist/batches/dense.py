"""Exact transport between many small pairs at once, proved entry by entry.

What surrounds the solver in a single call (checks, frame, duals, proof, result) took two thirds of
the time of 64 by 64 points; here arrays of all entries share it. Entries out of range and those
whose brackets do not close are left to single calls; so are all, which say what is wrong, where
weights or points are none.

A point of weight zero moves onto one that has mass (`measure.onto_present`), where it changes no
minimum, and takes part in neither assignment nor simplex.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist.batches.entries import Entries
from otdist.batches.matrices import Matrices
from otdist.batches.result import BatchResult, completed, of_values
from otdist.core.answer import finish
from otdist.core.arrays import Kind
from otdist.core.frame import centred
from otdist.core.gradient import attach, plan_gradients
from otdist.core.result import Arcs, Bracket, OTResult
from otdist.core.task import Units

MESSAGE = "exact: optimal plan and dual agree"

LARGEST = 1 << 19
"""Pairs of points of an entry above which it is solved with all threads."""

_LOW_POWER = 4.0  # above, costs have a unit of their own


@dataclass(frozen=True)
class Answers:
    """What was found, for B pairs.

    Attributes:
        kind: What the caller's samples were.
        p: Exponent.
        cost: Costs of the plans (B,), float64, with their graph.
        lower: Of the brackets on W_p, (B,).
        upper: Likewise.
        f: Potentials (B, n), feasible together with
        g: those of the targets (B, m).
        arcs: (rows, cols, mass) of every plan.
        potentials: Computes the potentials of an entry with points of weight zero; None without.
        seconds: Per entry.
    """

    kind: Kind
    p: float
    cost: Tensor
    lower: np.ndarray
    upper: np.ndarray
    f: np.ndarray
    g: np.ndarray
    arcs: list[tuple[np.ndarray, ...]]
    potentials: Callable[[int], Any] | None = None
    seconds: float = field(default=0.0)

    def entry(self, k: int) -> OTResult:
        """The single result of one pair."""
        units = Units(self.p, 1.0, self.kind)
        ends = Bracket(float(self.lower[k]), float(self.upper[k]))
        own = partial(units.potentials, torch.from_numpy(self.f[k]), torch.from_numpy(self.g[k]))
        return finish(
            units, self.cost[k], ends, solver="exact", message=MESSAGE,
            begin=time.perf_counter() - self.seconds,
            potentials=partial(self.potentials, k) if self.potentials else own,
            plan=partial(Arcs.sparse, self.plan(k), self.kind),
        )  # fmt: skip

    def plan(self, k: int) -> Arcs:
        """The plan of one pair."""
        rows, cols, mass = (torch.from_numpy(part) for part in self.arcs[k])
        return Arcs(rows, cols, mass, (self.f.shape[1], self.g.shape[1]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "cost": self.cost.detach()}


def solve(
    batch: Entries, p: float, single: Callable[[int], Any], begin: float
) -> BatchResult | None:
    """W_p of every pair; None where pairs must be solved one by one.

    Args:
        batch: Samples, with any weights.
        p: Exponent.
        single: Computes the result of one entry as a call of its own does.
        begin: When the work on it began.
    """
    n, m = batch.x.shape[1], batch.y.shape[1]
    if batch.x.device.type != "cpu" or p > _LOW_POWER or n * m > LARGEST:
        return None
    usual = batch.usual()
    if usual is None:
        return None
    points, masses = usual
    x, y = (z.detach().double().contiguous() for z in points)
    a, b = (
        np.full(z.shape[:2], 1 / z.shape[1]) if w is None else w.detach().numpy()
        for z, w in zip(points, masses, strict=True)
    )
    work, before = Matrices(p, *centred(x, y), a, b), time.perf_counter()
    work.load()
    begin += time.perf_counter() - before  # an import is no part of the seconds of a result
    work.all()
    if not work.closed.any():
        return None
    cost = torch.from_numpy(work.cost)
    later = partial(_potentials, single) if work.zeros else None
    answers = Answers(
        batch.kind, p, cost, work.lower, work.upper, work.f, work.g, work.arcs, later,
        (time.perf_counter() - begin) / len(batch),
    )  # fmt: skip
    if batch.needs_gradient:
        inputs = [z for z in (*points, *masses) if z is not None]
        gradients = partial(_gradients, answers, (x, y), masses)
        answers = replace(answers, cost=attach(cost, inputs, gradients))
    more = {}
    if later is None:
        units = Units(p, 1.0, batch.kind)
        f, g = units.potentials(torch.from_numpy(work.f), torch.from_numpy(work.g))
        more["potentials"] = f.reshape(*batch.shape, n), g.reshape(*batch.shape, m)
    ends = work.lower, work.upper
    made = of_values(batch, p, answers.cost, *ends, MESSAGE, answers.entry, begin, **more)
    return completed(made, work.closed, single, batch)


def _potentials(single: Callable[[int], Any], k: int) -> Any:
    return single(k).potentials


def _gradients(
    answers: Answers, points: tuple[Tensor, Tensor], masses: tuple[Tensor | None, ...]
) -> list[Tensor]:
    """The envelope theorem, for all entries with one list of arcs."""
    (size, n), m = answers.f.shape, answers.g.shape[1]
    entry = np.repeat(np.arange(size), [len(part[0]) for part in answers.arcs])
    rows, cols, mass = (np.concatenate(part) for part in zip(*answers.arcs, strict=True))
    where = torch.from_numpy(rows + entry * n), torch.from_numpy(cols + entry * m)
    arcs = Arcs(*where, torch.from_numpy(mass), (size * n, size * m))
    x, y = (z.reshape(-1, z.shape[-1]) for z in points)
    found = plan_gradients(x, y, answers.p, arcs)
    slopes = [slope.reshape(z.shape) for slope, z in zip(found, points, strict=True)]
    for w, values in zip(masses, (answers.f, answers.g), strict=True):
        if w is not None:
            h = torch.from_numpy(values)
            slopes.append(h - (w.detach() * h).sum(-1, keepdim=True))
    return slopes
