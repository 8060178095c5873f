"""Points of weight zero: they leave at the door; what concerns them is computed when asked for.

No solver meets them. A plan gives them empty rows and columns, and potentials follow by
c-transform, which keeps them feasible: first f at the sources that left, from g at the targets that
stayed; then g at the targets that left, from f at all sources. The derivative in a weight of zero
is the potential there, like that in any other weight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from otdist.core.cost import Cost
from otdist.core.result import Arcs, OTResult

if TYPE_CHECKING:
    from otdist.core.task import Task


@dataclass(frozen=True)
class Absent:
    """The points of weight zero of one sample.

    Attributes:
        rows: Their indices in the caller's sample, shape (k,).
        present: Indices of the points that stay, in order.
        points: Shape (k, d), in the frame of those that stay; without a graph. None for a matrix.
        weights: Zeros, shape (k,), with the graph of the caller's weights.
    """

    rows: Tensor
    present: Tensor
    points: Any
    weights: Tensor

    def spread(self, present: Tensor, absent: Tensor) -> Tensor:
        """Values of both kinds of points, in the caller's order."""
        out = present.new_empty(len(self.present) + len(self.rows), *present.shape[1:])
        out[self.present], out[self.rows] = present, absent
        return out

    def places(self) -> Tensor:
        """The place of every point of the caller among those that stay; −1 for one that left."""
        out = self.present.new_full((len(self.present) + len(self.rows),), -1)
        out[self.present] = torch.arange(len(self.present), device=out.device)
        return out


@dataclass(frozen=True)
class Whole:
    """A transport problem with the points of weight zero that its task left out.

    Attributes:
        cost: Between all points, shape (n, m).
        x: The sources that left, or None.
        y: The targets that left, or None.
    """

    cost: Cost
    x: Absent | None
    y: Absent | None

    def detached(self) -> Whole:
        """The same without the graph of the weights."""
        x, y = (s and replace(s, weights=s.weights.detach()) for s in (self.x, self.y))
        return replace(self, x=x, y=y)

    def potentials(self, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Potentials of all points, float64, from those of the points that stayed; scaled units."""
        cost, f, g = self.cost.to(torch.float64), f.double(), g.double()
        sources, targets = (torch.arange(k, device=f.device) for k in cost.shape)
        if self.x is not None:
            targets = targets if self.y is None else self.y.present
            f = self.x.spread(f, _below(cost.sub(self.x.rows, targets).ctransform(g)[0], g))
        if self.y is not None:
            back = cost.sub(sources, self.y.rows).T
            g = self.y.spread(g, _below(back.ctransform(f)[0], f))
        return f, g


def _below(values: Tensor, others: Tensor) -> Tensor:
    """A c-transform of `others` less its rounding, so that it stays feasible.

    Without that, a point so far away that its cost swallows all potentials would bound others by
    noise of the size of its rounding. Where the cost overflows, it takes the largest number.
    """
    values = values.nan_to_num()
    return values - 8 * 2.0**-53 * (values.abs() + others.abs().max())


def split_zeros(weights: Tensor) -> tuple[Tensor, Tensor] | None:
    """Indices of positive weights and of zeros; None where there are no zeros."""
    zero = weights.detach() == 0
    return ((~zero).nonzero()[:, 0], zero.nonzero()[:, 0]) if bool(zero.any()) else None


def shared_out(points: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The same measures without weights of zero: their points take parts of one of the largest.

    For solvers of many problems of one size, (..., n, d), that divide by weights. Both keep their
    graph, and where a gradient in weights of zero is asked for, all stays as it is.
    """
    if weights is None or (weights.requires_grad and torch.is_grad_enabled()):
        return points, weights
    weights = weights.expand(points.shape[:-1])
    zero = weights == 0
    if not bool(zero.any()):
        return points, weights
    top, places = weights.argmax(-1, keepdim=True), torch.arange(zero.shape[-1], device=zero.device)
    source = torch.where(zero, top, places)
    shares = weights.gather(-1, top) / (1 + zero.sum(-1, keepdim=True))
    weights = torch.where(zero | (places == top), shares, weights)
    return points.gather(-2, source[..., None].expand(points.shape)), weights


def extended(task: Task, result: OTResult) -> OTResult:
    """The result of a task with plan, potentials and derivatives for the points that left, too."""
    if task.whole is None:
        return result
    later, missing = task.detached(), _missing(task, task.whole, result)
    distance, cost = result.distance, result.cost
    if missing is not None:
        root, power = float(distance.detach()), float(cost.detach())
        slope = root / (task.p * power) if 0 < power < torch.inf else 0.0
        distance, cost = distance + slope * missing.to(distance), cost + missing.to(cost)
    return replace(
        result,
        distance=distance,
        cost=cost,
        _potentials=partial(_potentials, later, result),
        _plan=partial(_plan, later, result),
    )


def stayed(task: Task, start: OTResult) -> OTResult:
    """An earlier result of all points, with the potentials of those that stayed."""
    if task.whole is None:
        return start
    f, g = (
        values if side is None else torch.as_tensor(values)[side.present]
        for values, side in zip(start.potentials, (task.whole.x, task.whole.y), strict=True)
    )
    return replace(start, _potentials=lambda: (f, g))


def _missing(task: Task, whole: Whole, result: OTResult) -> Tensor | None:
    """Σ w_i (f_i − Σ a f) over the weights of zero: 0, with the derivative that they have."""
    sides = [side for side in (whole.x, whole.y) if side is not None]
    if not (torch.is_grad_enabled() and any(side.weights.requires_grad for side in sides)):
        return None
    potentials = _potentials(task.detached(), result)
    total = None
    for side, values, mass in zip((whole.x, whole.y), potentials, (task.a, task.b), strict=True):
        if side is not None and side.weights.requires_grad:
            values = values.double()
            centred = values[side.rows] - mass.detach() @ values[side.present]
            part = side.weights @ centred
            total = part if total is None else total + part
    return total


def _potentials(task: Task, result: OTResult) -> tuple[Any, Any]:
    assert task.whole is not None
    f, g = (
        task.in_scaled_units(torch.as_tensor(v).to(task.a.device, torch.float64))
        for v in result.potentials
    )
    return task.potentials(*task.whole.potentials(f, g))


def _plan(task: Task, result: OTResult) -> Any:
    assert task.whole is not None
    arcs = Arcs.of(result.plan)
    rows = arcs.rows if task.whole.x is None else task.whole.x.present[arcs.rows]
    cols = arcs.cols if task.whole.y is None else task.whole.y.present[arcs.cols]
    return Arcs(rows, cols, arcs.mass, task.sizes).sparse(task.kind)
