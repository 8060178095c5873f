r"""Transport with Kullback–Leibler penalties of its marginals, between proved bounds.

.. math::  \min_P \langle P, c \rangle + \rho\, KL(P1 \,|\, a) + \rho\, KL(P^\top 1 \,|\, b)
           = \max_{f_i + g_j \le c_{ij}} \sum_i a_i \rho (1 - e^{-f_i/\rho})
             + \sum_j b_j \rho (1 - e^{-g_j/\rho}) .

At the optimum the marginals of P are a e^(−f/ρ) and b e^(−g/ρ). So a potential says which balanced
problem to solve, and that one's exact plan and potential bound the value from both sides:

    1. scaling    entropic potentials in the log domain, eps falling by halves from the mean cost
    2. polish     the exact plan between the marginals that the best potentials ask for; its
                  objective is an upper bound
    3. join       the best average of all potentials so far: feasible ones are convex, and the dual
                  is concave
    4. sharpen    more scaling steps from there at half the eps, joined likewise; back to 2

Steps 2 and 3 are those of Frank and Wolfe, fully corrective; without step 4 they need about five
times as many rounds for one percent. After every step (f, g) becomes (f + t, g − t) with the best t
in closed form; without it the steps take about ρ/eps rounds to find the mass that moves (Séjourné,
Vialard, Peyré 2022).
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from otdist.core.answer import ProvedPlan, answer
from otdist.core.certificate import bracket, transforms
from otdist.core.point_cost import Cost
from otdist.core.progress import progress
from otdist.core.result import Arcs, OTResult, warn_caller
from otdist.core.task import Task
from otdist.entropic.penalty import divergent_value, translated
from otdist.exact import dense
from otdist.exact.exact import Exact
from otdist.exact.limits import Limits
from otdist.unbalanced import balanced
from otdist.unbalanced.bounds import divergent_dual, divergent_primal

# Gaps of clouds of 100 and 500 points in 1 to 5 dimensions, p = 1 and 2, reach from 0.1 to 30
# standard deviations. Up to 8 rounds for 1%, up to 33 for 0.1%; with 2 steps in place of 15 the
# first takes up to 30, and with averages of two potentials at a time the second over 60.
_STEPS = 3  # scaling steps for each eps on the way down
_SHARPEN = 15  # and at each later eps
_EPS = 0.02  # end of the way down, in units of the mean cost or of 2 ρ, whichever is less
_LEAST = 1e-5  # no eps is below this
_ROUNDS = 60
_FAINT = 1e-13  # share of the mass below which a point takes no part in a plan
_OPEN = 0.01  # lower ends below this share of the upper one: the samples may coincide
_KNOWN = 40  # potentials that are averaged
_AVERAGE = 40  # exchanges of share between them in a round
_NEWTON = 6  # steps for each
_ROUGH = 256  # eps in units of the rounding of float32 from which steps are taken in it


def divergent_transport(task: Task, rho: float, solver: Exact, rtol: float) -> OTResult:
    """The least cost with penalties ρ KL.

    Args:
        task: Its weights are masses of any sum.
        rho: Positive, in scaled cost units.
        solver: Limit of time, and whether to show progress.
        rtol: Stop once the bracket proves this relative accuracy of the distance.
    """
    begin = time.perf_counter()
    a, b = task.a.detach(), task.b.detach()
    with progress("unbalanced transport", quiet=not solver.progress) as say:
        run = _Run(task.cost.to(torch.float64), a, b, rho)
        limits = solver.limits(task.p, rtol, begin, say)
        run.solve(limits)
    dual = divergent_dual(task.cost, a, b, rho, run.g)
    value, upper = divergent_primal(task.cost, a, b, rho, run.arcs)
    ends = bracket(dual.lower, upper, task.p, task.scale)
    proved = ends.proves(rtol) or dense.is_rounding(ends.upper, task.cost, task.scale)
    message = f"the bracket proves rtol = {rtol:g}"
    if not proved:
        message = f"rtol = {rtol:g} is not proved after {run.rounds} rounds: raise rtol or reach"
        if time.perf_counter() > limits.deadline:
            message = "max_seconds reached; the bracket is what was proved until then"
        warn_caller(message)

    def slopes(f: Tensor, g: Tensor) -> list[Tensor]:
        return [-rho * torch.expm1(-h / rho) for h in (f, g)]

    return answer(
        task,
        ProvedPlan(value, ends, partial(tuple, (run.arcs, dual.f, dual.g))),
        solver="scaling",
        message=message,
        begin=begin,
        converged=proved,
        iterations=run.rounds,
        slopes=slopes,
    )


class _Run:
    """The best plan and the best feasible potentials so far."""

    def __init__(self, cost: Cost, a: Tensor, b: Tensor, rho: float) -> None:
        self.cost, self.a, self.b, self.rho = cost, a, b, rho
        self.logs = a.log(), b.log()
        self.fast = cost.to(torch.float32)
        self.f, self.g = torch.zeros_like(a), torch.zeros_like(b)
        self.known: list[tuple[Tensor, Tensor]] = []
        self.lower, self.upper = -math.inf, rho * float(a.sum() + b.sum())
        none = torch.empty(0, dtype=torch.int64, device=a.device)
        self.arcs, self.rounds = Arcs(none, none, a.new_empty(0), cost.shape), 0

    def solve(self, limits: Limits) -> None:
        """Rounds until the gap is closed to `limits.rtol` of the lower end."""
        spread = float(self.cost.mean(self.a / self.a.sum(), self.b / self.b.sum()))
        size = min(spread, 2 * self.rho) or self.rho
        eps, f, g = size, self.f, self.g
        while eps > _EPS * size:
            f, g = self._steps(f, g, eps, _STEPS)
            eps = max(eps / 2, _EPS * size)
        self._join(*self._steps(f, g, eps, _STEPS))
        while self.rounds < _ROUNDS:
            self.rounds += 1
            self._polish(self.f, self.g, limits)
            if self.rounds == 1 and self.lower <= _OPEN * self.upper:
                zero = torch.zeros_like(self.a), torch.zeros_like(self.b)
                self._polish(*translated(*zero, self.logs, self.rho), limits)
            limits.report(f"round {self.rounds}, cost in [{self.lower:.6g}, {self.upper:.6g}]")
            closed = self.upper - self.lower <= 0.95 * limits.rtol * self.lower
            if closed or self.upper <= 0 or time.perf_counter() > limits.deadline:
                break
            eps = max(eps / 2, _LEAST * size)
            self._join(*self._steps(self.f, self.g, eps, _SHARPEN))

    def _steps(self, f: Tensor, g: Tensor, eps: float, count: int) -> tuple[Tensor, Tensor]:
        """Scaling steps at one eps, each with its translation."""
        cost = self.fast if eps > _ROUGH * self.fast.rounding else self.cost
        damped = self.rho / (self.rho + eps)
        log_a, log_b = self.logs
        for _ in range(count):
            f = damped * cost.softmin(g + eps * log_b, eps).double()
            f, g = translated(f, g, self.logs, self.rho)
            g = damped * cost.T.softmin(f + eps * log_a, eps).double()
            f, g = translated(f, g, self.logs, self.rho)
        return f, g

    def _value(self, f: Tensor, g: Tensor) -> float:
        return float(
            divergent_value(f, self.a, self.logs[0], self.rho).sum()
            + divergent_value(g, self.b, self.logs[1], self.rho).sum()
        )

    def _join(self, f: Tensor, g: Tensor) -> None:
        """Add potentials, made feasible, and move to the best average of all so far."""
        g = torch.where(self.b > 0, g, -torch.inf)
        self._add(*transforms(self.cost, g))
        if len(self.known) > 1:
            self._add(*transforms(self.cost, self._best_average()[1]))

    def _add(self, f: Tensor, g: Tensor) -> None:
        """Keep feasible potentials, the best of all in front."""
        f, g = translated(f, g, self.logs, self.rho)
        value = self._value(f, g)
        self.known.append((f, g))
        if value > self.lower:
            self.known.insert(0, self.known.pop())
            self.f, self.g, self.lower = f, g, value
        del self.known[1 : max(1, len(self.known) - _KNOWN)]

    def _best_average(self) -> tuple[Tensor, Tensor]:
        """The average of known potentials whose dual value is the highest, from the best one.

        The value grows as Σ_w log Σ w e^(−h/ρ) over both sides falls, whatever the translation.
        Each step moves share from the potentials of least slope to those of the largest.
        """
        every = torch.stack([f for f, _ in self.known]), torch.stack([g for _, g in self.known])
        share = every[0].new_zeros(len(self.known))
        share[0] = 1.0
        for _ in range(_AVERAGE):
            left = self._left(share @ every[0], share @ every[1])
            slopes = every[0] @ left[0] + every[1] @ left[1]
            up = int(slopes.argmax())
            down = int(torch.where(share > 0, slopes, torch.inf).argmin())
            rise = float(slopes[up] - slopes[down])
            if up == down or not rise > 1e-9 * float(slopes.abs().max()):
                break
            moved = self._how_far(share, every, up, down)
            moved = min(moved, float(share[down]))
            share[up] += moved
            share[down] = share[down] - moved if moved < share[down] else 0.0
        return share @ every[0], share @ every[1]

    def _left(self, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """The marginals that potentials ask for, as shares."""
        log_a, log_b = self.logs
        return torch.softmax(log_a - f / self.rho, 0), torch.softmax(log_b - g / self.rho, 0)

    def _how_far(self, share: Tensor, every: tuple[Tensor, Tensor], up: int, down: int) -> float:
        """Newton's method, between bounds, along the way from one of the potentials to another."""
        begin = [share @ part for part in every]
        along = [part[up] - part[down] for part in every]
        low, high, at = 0.0, float(share[down]), 0.0
        for _ in range(_NEWTON):
            left = self._left(begin[0] + at * along[0], begin[1] + at * along[1])
            slope, bend = 0.0, 0.0
            for q, d in zip(left, along, strict=True):
                mean = float(q @ d)
                slope += mean
                bend += float(q @ (d - mean).square()) / self.rho
            low, high = (at, high) if slope > 0 else (low, at)
            ahead = at + slope / bend if bend > 0 else high
            if low < ahead < high:
                at = ahead
            else:  # from the left the end is worth a try
                at = high if ahead >= high and at == low else (low + high) / 2
        return at

    def _polish(self, f: Tensor, g: Tensor, limits: Limits) -> None:
        """The exact plan between the marginals that potentials ask for, and its potential."""
        left, reached = ((v - h / self.rho).exp() for v, h in zip(self.logs, (f, g), strict=True))
        moved = float(left.sum())
        i, j = ((w > _FAINT * moved).nonzero()[:, 0] for w in (left, reached))
        if not (0 < moved < math.inf and len(i) and len(j)):
            return
        q, r = left[i], reached[j]
        cost = self.cost if (len(i), len(j)) == self.cost.shape else self.cost.sub(i, j)
        finer = replace(limits, rtol=limits.rtol / 20)
        found = balanced.solve(cost, q / q.sum(), r / r.sum(), finer, start=g[j])
        arcs = found.arcs
        arcs = Arcs(i[arcs.rows], j[arcs.cols], arcs.mass * moved, self.cost.shape)
        value, _ = divergent_primal(self.cost, self.a, self.b, self.rho, arcs)
        if value < self.upper:
            self.arcs, self.upper = arcs, value
        whole = torch.full_like(g, -math.inf)
        whole[j] = found.g
        self._join(f, whole)
