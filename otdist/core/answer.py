"""From evidence to an answer: a plan and a potential become a proved, differentiable OTResult."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from otdist.core.arrays import Kind
from otdist.core.certificate import bracket, lower_from_potentials, upper_from_plan
from otdist.core.gradient import attach, plan_gradients
from otdist.core.metric import MetricCost
from otdist.core.result import Arcs, Bracket, OTResult
from otdist.core.task import Task, Units

Slopes = Callable[[Tensor, Tensor], list[Tensor]]
"""Derivatives in the weights of both sides, from f and g."""


@dataclass(frozen=True)
class Proof:
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


def prove(task: Task, arcs: Arcs, g: Tensor) -> Proof:
    """The bracket that a plan and a potential of the targets give, recomputed from the points."""
    dual = lower_from_potentials(task.cost, task.a, task.b, g=g)
    cost, upper = upper_from_plan(task.cost, task.a, task.b, arcs)
    ends = bracket(dual.cost, upper, task.p, task.scale)
    return Proof(cost, ends, partial(tuple, (arcs, dual.f, dual.g)))


def answer(
    task: Task,
    proof: Proof,
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

    Weights of sum one have the potentials less their means for derivatives; masses of any sum have
    what `slopes` makes of the potentials. For `mass` and `details` see `finish`.
    """
    cost, kept = proof.cost, task
    if task.needs_gradient:
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
        potentials=partial(_potentials, kept, proof),
        plan=partial(_plan, task.kind, proof),
        mass=mass,
        details=details,
    )


def finish(
    units: Units,
    cost: Tensor | float,
    bracket: Bracket,
    *,
    solver: str,
    message: str,
    begin: float,
    potentials: Callable[[], tuple[Any, Any]],
    plan: Callable[[], Any],
    converged: bool = True,
    iterations: int = 0,
    details: dict[str, Any] | None = None,
    mass: float = 1.0,
) -> OTResult:
    """The result of any solver; the only place that makes one.

    Args:
        units: The task, or its units alone.
        cost: Cost of the best plan in scaled units; 0-d with a graph where it has one.
        bracket: On W_p, in the caller's units; the rounding of the cost to the caller's precision
            widens it, so that the distance stays inside.
        solver: Name of the method.
        message: One sentence on how it ended.
        begin: Value of `time.perf_counter` when the work began.
        potentials: Computes (f, g) in the caller's units; called at most once, and pickled.
        plan: Computes the plan, likewise.
        converged: Whether the solver reached what it was asked for.
        iterations: Iterations of the solver.
        details: Figures of one solver only.
        mass: What the cost is divided by for the distance: the mass that was moved.
    """
    number = units.kind.number if units.kind.torch else float
    distance = number(units.distance(cost if mass == 1 else cost / mass))
    bracket = bracket.around(distance)
    return OTResult(
        distance=distance,
        cost=number(units.in_cost_units(cost)),
        p=units.p,
        lower=bracket.lower,
        upper=bracket.upper,
        solver=solver,
        converged=converged,
        message=message,
        iterations=iterations,
        seconds=time.perf_counter() - begin,
        _potentials=potentials,
        _plan=plan,
        details=details or {},
    )


def _inputs(task: Task) -> list[Tensor]:
    """What the cost depends on: points or matrix, then weights."""
    if task.pair is not None:
        return [task.pair.x.points, task.pair.y.points, task.a, task.b]
    assert task.matrix is not None
    return [task.matrix, task.a, task.b]


def _gradients(task: Task, proof: Proof, slopes: Slopes | None) -> Sequence[Tensor]:
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


def _potentials(task: Task, proof: Proof) -> tuple[Any, Any]:
    return task.potentials(*proof.evidence()[1:])


def _plan(kind: Kind, proof: Proof) -> Any:
    return proof.evidence()[0].sparse(kind)
