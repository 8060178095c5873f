"""From evidence to an answer: a plan and a potential become a proved, differentiable OTResult."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from otdist.core.arrays import Kind
from otdist.core.certificate import DualBound, bracket, lower_from_potentials, upper_from_plan
from otdist.core.gradient import attach, plan_gradients
from otdist.core.metric import MetricCost
from otdist.core.result import Arcs, Bracket, OTResult
from otdist.core.task import Task
from otdist.core.units import Units, finish

Slopes = Callable[[Tensor, Tensor], list[Tensor]]
"""Derivatives in the weights of both sides, from f and g."""


@dataclass(frozen=True)
class ProvedPlan:
    """A feasible plan, feasible potentials, and what they prove.

    Attributes:
        cost: Cost of the plan, in scaled units.
        bracket: On W_p, in the caller's units.
        evidence: The plan and the potentials f (n,) and g (m,), float64, in scaled units; made
            when asked for.
    """

    cost: float
    bracket: Bracket
    evidence: Callable[[], tuple[Arcs, Tensor, Tensor]]


def prove(task: Task, arcs: Arcs, g: Tensor, quick: bool = False) -> ProvedPlan:
    """The bracket that a plan and a potential of the targets give, recomputed from the points.

    For `quick` see `lower_from_potentials`.
    """
    return proved(task, arcs, lower_from_potentials(task.cost, task.a, task.b, g=g, quick=quick))


def proved(task: Task, arcs: Arcs, dual: DualBound) -> ProvedPlan:
    """The bracket of a plan and a lower bound, the former recomputed from the points."""
    cost, upper = upper_from_plan(task.cost, task.a, task.b, arcs)
    ends = bracket(dual.cost, upper, task.p, task.scale)
    return ProvedPlan(cost, ends, partial(tuple, (arcs, dual.f, dual.g)))


def answer(
    task: Task | Units,
    proof: ProvedPlan,
    *,
    solver: str,
    message: str,
    begin: float,
    converged: bool = True,
    iterations: int = 0,
    slopes: Slopes | None = None,
    mass: float = 1.0,
    details: dict[str, Any] | None = None,
) -> OTResult:
    """The result of a task with a sparse plan, with the envelope gradient if one is asked for.

    Where there is no task but only units, no input has a graph.
    Weights of sum one have the potentials less their means for derivatives; masses of any sum have
    what `slopes` makes of the potentials. For `mass` and `details` see `finish`.
    """
    cost, kept = proof.cost, task
    if isinstance(task, Task) and task.needs_gradient:
        kept = task.detached()
        value = torch.tensor(cost, dtype=torch.float64, device=task.a.device)
        cost = attach(value, _inputs(task), partial(_gradients, kept, proof, slopes))
    return finish(
        task,
        cost,
        proof.bracket,
        solver=solver,
        message=message,
        begin=begin,
        converged=converged,
        iterations=iterations,
        potentials=partial(potentials_of, kept, proof),
        plan=partial(plan_of, task.kind, proof),
        mass=mass,
        details=details,
    )


def _inputs(task: Task) -> list[Tensor]:
    """What the cost depends on: points or matrix, then weights."""
    if task.pair is not None:
        return [task.pair.x.points, task.pair.y.points, task.a, task.b]
    assert task.matrix is not None
    return [task.matrix, task.a, task.b]


def _gradients(task: Task, proof: ProvedPlan, slopes: Slopes | None) -> Sequence[Tensor]:
    """The envelope theorem: the plan for the cost, centred potentials for the weights."""
    arcs, f, g = proof.evidence()
    weights = slopes(f, g) if slopes else [f - task.a @ f, g - task.b @ g]
    if task.pair is not None:
        if isinstance(task.cost, MetricCost):
            return [*task.cost.pull(arcs), *weights]
        x, y = task.pair.x.points.double(), task.pair.y.points.double()
        return [*plan_gradients(x, y, task.p, arcs), *weights]
    plan = torch.zeros(task.cost.shape, dtype=torch.float64, device=task.a.device)
    plan[arcs.rows, arcs.cols] = arcs.mass
    return [plan, *weights]


def potentials_of(task: Units, proof: ProvedPlan) -> tuple[Any, Any]:
    """The potentials of a proof, in the caller's units."""
    return task.potentials(*proof.evidence()[1:])


def plan_of(kind: Kind, proof: ProvedPlan) -> Any:
    """The plan of a proof, as the caller's kind of array."""
    return proof.evidence()[0].sparse(kind)
