r"""Sliced Wasserstein distances: the average over directions of closed forms on the line.

.. math::  SW_p^p(x, y) = E_{θ}\, W_p^p(⟨θ, x⟩, ⟨θ, y⟩), \qquad θ \text{ uniform on the sphere}

(Rabin, Peyré, Delon, Bernot 2012; Bonneel et al. 2015, Sliced and Radon Wasserstein barycenters).
Directions come from `directions`, slices from `slices`, what they prove from `bounds`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.arrays import as_tensor
from otdist.core.gradient import attach, plan_gradients, root
from otdist.core.measure import SamplePair
from otdist.core.progress import progress
from otdist.core.result import Arcs, Bracket, OTResult, SlicedResult, warn_caller
from otdist.core.task import Task, of_pair
from otdist.core.units import Units, finish
from otdist.line import univariate
from otdist.line.matching import match
from otdist.line.solver import Proved
from otdist.line.solver import prove as prove_line
from otdist.line.staircase import HIGH
from otdist.sliced import directions as families
from otdist.sliced.bounds import detached, of_plan, prove, scaled, slice_bracket
from otdist.sliced.directions import Directions
from otdist.sliced.slices import largest_gap, mean_slice_cost, of_batch, of_slices, slice_costs

DEFAULT_PROJECTIONS = 256
SINGLE_POWER = 4.0
"""The largest p for which float32 is enough."""
MOST_PROJECTIONS = 1 << 16
"""Where adding directions for `stderr_rtol` ends, with a warning."""


@dataclass(frozen=True)
class Choice:
    """Which directions a caller asks for; see `otdist.sliced_wasserstein`.

    >>> Choice(n_projections=0)
    Traceback (most recent call last):
    ValueError: n_projections must be at least 1: got 0
    """

    n_projections: int | None = None
    directions: Any = None
    seed: int | None = 0
    stderr_rtol: float | None = None

    def __post_init__(self) -> None:
        count = checks.optional(checks.whole, "n_projections", self.n_projections)
        rtol = checks.optional(checks.positive, "stderr_rtol", self.stderr_rtol)
        checks.settle(self, n_projections=count, stderr_rtol=rtol, seed=checks.seed(self.seed))
        if self.directions is None or isinstance(self.directions, str):
            checks.optional(checks.choice, "directions", self.directions, allowed=families.KINDS)
            return
        if self.n_projections is not None:
            raise ValueError("pass n_projections or an array of directions, not both")
        if self.stderr_rtol is not None:
            raise ValueError("stderr_rtol adds directions of its own: leave out directions")
        given(self.directions)

    def of(self, d: int, rng: np.random.Generator) -> Directions:
        """The directions in d dimensions, drawn or given."""
        return choose(self.directions, self.n_projections, d, rng)


def average(pair: SamplePair, p: float, choice: Choice) -> SlicedResult:
    """SW_p with its graph, over directions that are added until `stderr_rtol` is met."""
    started = time.perf_counter()
    d = pair.x.points.shape[1]
    rng = np.random.default_rng(choice.seed)
    chosen = choice.of(d, rng)
    if choice.stderr_rtol is not None and d > 1:
        draw = partial(families.draw, choice.directions or "orthogonal", d=d, rng=rng)
        chosen = _enough(pair, p, chosen, draw, choice.stderr_rtol)
    return evaluate(pair, p, chosen, started)


def choose(
    directions: Any, n_projections: int | None, d: int, rng: np.random.Generator
) -> Directions:
    """The directions that a caller asks for, drawn or given."""
    if directions is None or isinstance(directions, str):
        wanted = DEFAULT_PROJECTIONS if n_projections is None else n_projections
        count = checks.whole("n_projections", wanted)
        return families.draw(directions or "orthogonal", count, d, rng)
    if n_projections is not None:
        raise ValueError("pass n_projections or an array of directions, not both")
    return given(directions, d)


def given(directions: Any, d: int | None = None) -> Directions:
    """A caller's directions, numpy or torch, in d dimensions if that is known."""
    rows = as_tensor(directions, "directions")
    return families.given(rows.detach().cpu().double().numpy(), d)


def samples_of(
    pair: SamplePair, p: float, *, double: bool = False
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Points and weights with their graph; None for uniform weights, which have fast paths.

    High powers of small numbers underflow in float32: points are float64 then, as where a `double`
    costs little, for a single slice whose bracket may be closed.
    """
    x, y = pair.x.points, pair.y.points
    if double or p > SINGLE_POWER:
        x, y = x.double(), y.double()
    a = None if pair.x.uniform else pair.x.weights
    b = None if pair.y.uniform else pair.y.weights
    return x, y, a, b


def _enough(pair: SamplePair, p: float, chosen: Directions, draw: Any, rtol: float) -> Directions:
    """`chosen`, extended by independent replicates until the relative error is below `rtol`."""
    x, y, a, b = samples_of(detached(pair), p)
    samples = of_batch(x, y, a, b)

    def costs(part: Directions) -> np.ndarray:
        rows = torch.from_numpy(part.rows).to(x)
        return slice_costs(samples, rows, p)[0].double().cpu().numpy()

    values = costs(chosen)
    while True:
        value = float(values.mean()) ** (1 / p)
        error = families.standard_error(values, chosen, p)
        if error <= rtol * value:
            return chosen
        if len(chosen) >= MOST_PROJECTIONS:
            warn_caller(
                f"{len(chosen)} directions leave a relative standard error of "
                f"{error / value:.2g}, above stderr_rtol={rtol:g}: accept more error"
            )
            return chosen
        # The error falls like L^(-1/2): aim a tenth beyond, but at most double at a time, since
        # the estimate of the error is itself uncertain. NaN (one direction) doubles too.
        wanted = np.inf if np.isnan(error) else len(chosen) * 1.1 * (error / (rtol * value)) ** 2
        number = int(min(max(wanted - len(chosen), 16), max(len(chosen), 16)))
        more = draw(count=min(number, MOST_PROJECTIONS - len(chosen)))
        values = np.concatenate([values, costs(more)])
        chosen = chosen.extend(more)


def evaluate(pair: SamplePair, p: float, chosen: Directions, started: float) -> SlicedResult:
    """SW_p over the chosen directions, with its graph."""
    # On the line all slices are the same.
    rows = chosen.rows[:1] if pair.x.points.shape[1] == 1 else chosen.rows
    kept = detached(pair)
    pair = _of_moderate_powers(pair, p, rows)
    x, y, a, b = samples_of(pair, p, double=len(rows) == 1)
    mean, costs = mean_slice_cost(x, y, torch.from_numpy(rows).to(x), p, a, b)
    if len(rows) == 1:
        proof = _of_one_slice(pair, p, rows[0])
        mean = proof.cost * proof.unit**p + (mean - mean.detach())
        costs = mean.detach()[None]
    costs = costs.expand(len(chosen))
    units = of_pair(pair, p)
    spread = families.standard_error(costs.detach().double().cpu().numpy(), chosen, p)
    wide = replace(pair.kind, dtype=torch.promote_types(pair.kind.dtype, torch.float32))
    distance = pair.kind.number(units.distance(mean))
    shown = distance.detach() if isinstance(distance, Tensor) else distance
    return SlicedResult(
        distance=distance,
        cost=pair.kind.number(units.in_cost_units(mean)),
        p=p,
        stderr=spread * pair.scale,
        slices=pair.kind.array(root(costs, p) * pair.scale),
        directions=wide.array(torch.from_numpy(chosen.rows).to(wide.device)),
        seconds=time.perf_counter() - started,
        _bracket=partial(_bracket, kept, p, chosen, shown),
    )


def _bracket(pair: SamplePair, p: float, chosen: Directions, distance: Any) -> Bracket:
    """What the directions prove about W_p, as wide as the rounding of the distance asks for."""
    return slice_bracket(pair, p, chosen.rows, chosen.replicate).around(distance)


def _of_moderate_powers(pair: SamplePair, p: float, rows: np.ndarray) -> SamplePair:
    """The pair in units of the largest gap in the slices where p is high: no power overflows."""
    if len(rows) == 1:
        return scaled(pair, _of_one_slice(pair, p, rows[0]).unit)
    if p <= HIGH:
        return pair
    x, y, a, b = samples_of(detached(pair), p)
    gaps = of_slices(of_batch(x, y, a, b), torch.from_numpy(rows).to(x), largest_gap)
    return scaled(pair, float(gaps.max()))


def _of_one_slice(pair: SamplePair, p: float, row: np.ndarray) -> Proved:
    """The cost of one slice, with masses as exact as those of its bracket, which may be closed."""
    x, y = (z.points.detach().double() for z in (pair.x, pair.y))
    direction = torch.from_numpy(row).to(x)
    return prove_line(match(x @ direction, y @ direction, pair.x.masses, pair.y.masses), p)


@dataclass(frozen=True)
class Sliced:
    """Solver for `wasserstein`: the cheapest plan that the order along a direction induces.

    The distance is the cost of a feasible plan, an upper bound on W_p; slices and moments give the
    lower one. In O(L (n + m)) time and O(n + m) memory, for samples that nothing else can take.

    Attributes:
        n_projections: Number of directions; 256 when None.
        directions: As in `sliced_wasserstein`.
        seed: Of the directions; None draws fresh ones.
        progress: Show a spinner on stderr, when that is a terminal.

    >>> Sliced(n_projections=0)
    Traceback (most recent call last):
    ValueError: n_projections must be at least 1: got 0
    """

    n_projections: int | None = None
    directions: Any = None
    seed: int | None = 0
    progress: bool = False

    def __post_init__(self) -> None:
        Choice(self.n_projections, self.directions, self.seed)
        checks.flag("progress", self.progress)

    def solve(self, task: Task, *, rtol: float = 0.0, start: OTResult | None = None) -> OTResult:
        """The best slice plan and the bracket that slices prove.

        Raises:
            ValueError: `rtol` or `start` given, a cost matrix instead of points, or weights that
                require a gradient (the plan is piecewise constant in the points only).
        """
        started = time.perf_counter()
        pair = self._check(task, rtol, start)
        choice = Choice(self.n_projections, self.directions, self.seed)
        chosen = choice.of(pair.x.points.shape[1], np.random.default_rng(self.seed))
        pair = of_plan(pair, task.p, chosen.rows)
        kept, units = detached(pair), Units(task.p, pair.scale, task.kind)
        with progress("slices", quiet=not self.progress) as say:
            say(f"{len(chosen)} directions")
            proof = prove(kept, task.p, chosen.rows, chosen.replicate)
        proved = proof.bracket(kept, task.p)
        value = torch.tensor(proof.value, dtype=torch.float64, device=pair.kind.device)
        points = [pair.x.points, pair.y.points]
        forces = partial(_forces, kept, task.p, proof.arcs)
        value = attach(value, points, forces)
        return finish(
            units, value, proved, solver="sliced", message=f"best plan of {len(chosen)} directions",
            begin=started, iterations=len(chosen),
            potentials=partial(_slice_potentials, task.p, kept, proof.best),
            plan=partial(proof.arcs.sparse, task.kind),
        )  # fmt: skip

    def _check(self, task: Task, rtol: float, start: OTResult | None) -> SamplePair:
        if task.pair is None:
            raise ValueError("Sliced projects points: a cost matrix has none; use Exact()")
        if task.pair.metric is not None:
            raise ValueError(
                f"Sliced projects onto lines, which the Euclidean distance alone allows: got "
                f"metric {task.pair.metric.name!r}; use Exact() or Sinkhorn(eps)"
            )
        if rtol:
            raise ValueError("Sliced cannot reach a given rtol: leave it out, or use Exact()")
        if start is not None:
            raise ValueError("Sliced takes no start: leave it out")
        weights = (task.pair.x.weights, task.pair.y.weights)
        if torch.is_grad_enabled() and any(w.requires_grad for w in weights):
            raise ValueError(
                "the plan of Sliced has no gradient in the weights: use sliced_wasserstein, "
                "Exact(), or detach the weights"
            )
        return task.pair


def _forces(pair: SamplePair, p: float, arcs: Arcs) -> tuple[Tensor, Tensor]:
    """Gradient of the cost of the plan: exact, since the order along a line is locally fixed."""
    return plan_gradients(pair.x.points, pair.y.points, p, arcs)


def _slice_potentials(p: float, pair: SamplePair, direction: Tensor) -> tuple[Any, Any]:
    """Potentials of the best slice: feasible, because a projection shortens every distance."""
    x, y, a, b = samples_of(pair, p)
    f, g = univariate.potentials(x.double() @ direction, y.double() @ direction, p, a, b)
    units = of_pair(pair, p)
    return units.potentials(f, g)
