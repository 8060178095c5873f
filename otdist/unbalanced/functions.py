"""Partial and unbalanced distances between samples, and between sources and targets of a matrix.

Weights are masses here: they need not sum to one, and nothing divides them by their sum.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from otdist import metrics
from otdist.core import checks
from otdist.core.absent import extended
from otdist.core.large import is_large
from otdist.core.measure import pair
from otdist.core.modes import full_precision
from otdist.core.result import OTResult
from otdist.core.task import Task, of_pair
from otdist.core.threads import threads_for
from otdist.exact.exact import Exact
from otdist.unbalanced.divergent import divergent_transport
from otdist.unbalanced.solver import partial_transport, priced_transport

_KL_RTOL = 0.01  # closed in a few rounds for every reach
_MASS_TOLERANCE = 1e-9  # relative, by which a mass may exceed the largest that can move


@full_precision()
def partial_wasserstein(
    x: Any,
    y: Any,
    *,
    mass: float,
    a: Any = None,
    b: Any = None,
    p: float = 1,
    metric: Any = "euclidean",
    rtol: float = 0.0,
    solver: Exact | None = None,
) -> OTResult:
    r"""The cheapest transport of a given mass: the rest of both samples stays where it is.

    .. math::  \min_{P \ge 0,\; P1 \le a,\; P^\top 1 \le b,\; \sum_{ij} P_{ij} = m}
               \sum_{ij} P_{ij} \|x_i - y_j\|_2^p

    Args:
        x: Points of the first sample, shape (n, d), or (n,) on the line.
        y: Points of the second sample, shape (m, d) or (m,).
        mass: What is moved, above 0 and at most the smaller sum of weights.
        a: Masses of x, shape (n,), of any positive sum; 1/n each when None.
        b: Masses of y, shape (m,), likewise.
        p: Exponent, at least 1.
        metric: Ground distance, as of `wasserstein`.
        rtol: Stop once the bracket proves this relative accuracy; 0 means exact. Problems up to
            1.44 million pairs are always solved exactly.
        solver: Options of the exact solver, such as `Exact(max_seconds=60)`.

    Returns:
        `cost` of what moved, in units**p; `distance` (cost / mass)^(1/p) in the units of x; a
        certified bracket on that distance; `plan`; `moved_x` and `moved_y`, the mass that leaves
        and reaches each point; ``details["price"]`` h, so that the same plan is optimal when every
        unit that stays costs h on either side; `potentials` (f, g) at most h, f_i + g_j ≤ c_ij.

    Raises:
        ValueError: mass not positive or too large (the largest is named), weights negative or all
            zero, points not finite, dimensions differ, p < 1; dask arrays.
        TypeError: not numbers; numpy mixed with torch; a solver other than `Exact`.

    Warns:
        ConvergenceWarning: stopped before the bracket closed.

    Gradients: x, y, a, b, first order, by the envelope theorem: of `cost` in a_i it is f_i − h.
    Cost: about that of `wasserstein` for n + 1 by m + 1 points; O(n + m) memory for many points.
    Reference: Caffarelli and McCann (2010); Chapel, Alaya and Gasso (2020).

    >>> found = partial_wasserstein([0.0, 1.0], [0.5, 100.0], mass=0.5)
    >>> found.distance, found.moved_y.tolist()
    (0.5, [0.5, 0.0])
    """
    mass = checks.positive("mass", mass)
    task = of_samples(x, y, a, b, p, metric)
    return partly(task, rtol=checks.number("rtol", rtol, least=0), solver=solver, mass=mass)


@full_precision()
def unbalanced_wasserstein(
    x: Any,
    y: Any,
    *,
    reach: float,
    penalty: str = "tv",
    a: Any = None,
    b: Any = None,
    p: float = 1,
    metric: Any = "euclidean",
    rtol: float | None = None,
    solver: Exact | None = None,
) -> OTResult:
    r"""Transport in which mass may also be destroyed or created, for a penalty.

    With penalty "tv" a unit costs reach^p:

    .. math::  \min_{P \ge 0,\; P1 \le a,\; P^\top 1 \le b} \sum_{ij} P_{ij} \|x_i - y_j\|_2^p
               + \mathrm{reach}^p \Big(\sum_i a_i + \sum_j b_j - 2 \sum_{ij} P_{ij}\Big)

    Nothing moves farther than 2^(1/p) · reach: beyond, destroying and creating is cheaper. At p = 1
    this is the flat norm of the difference of the measures. With penalty "kl", ρ = reach^p:

    .. math::  \min_{P \ge 0} \sum_{ij} P_{ij} \|x_i - y_j\|_2^p + \rho\, KL(P1 \,|\, a)
               + \rho\, KL(P^\top 1 \,|\, b)

    where KL(q | a) = Σ q_i log(q_i / a_i) − q_i + a_i.

    Args:
        x: Points of the first sample, shape (n, d), or (n,) on the line.
        y: Points of the second sample, shape (m, d) or (m,).
        reach: A distance in the units of x, positive.
        penalty: "tv", total variation, solved exactly; or "kl", Kullback–Leibler, solved until the
            bracket proves `rtol`.
        a: Masses of x, shape (n,), of any positive sum; 1/n each when None.
        b: Masses of y, shape (m,), likewise.
        p: Exponent, at least 1.
        metric: Ground distance, as of `wasserstein`.
        rtol: Stop once the bracket proves this relative accuracy of the distance. None is exact for
            "tv" (as are all problems up to 1.44 million pairs), and 0.01 for "kl", where it must be
            positive.
        solver: Options of the exact solver, such as `Exact(max_seconds=60)`.

    Returns:
        `cost`, the least objective with its penalties, in units**p times mass; `distance`
        cost^(1/p); a certified bracket on that; `plan`; `moved_x` and `moved_y`, the mass that
        leaves and reaches each point; `potentials` (f, g), f_i + g_j ≤ c_ij, for "tv" at
        most reach^p.

    Raises:
        ValueError: reach not positive, an unknown penalty, weights negative or all zero, points not
            finite, dimensions differ, p < 1; dask arrays.
        TypeError: not numbers; numpy mixed with torch; a solver other than `Exact`.

    Warns:
        ConvergenceWarning: stopped before the bracket closed.

    Gradients: x, y, a, b, first order, by the envelope theorem: of `cost` in a_i it is f_i for
        "tv", ρ (1 − e^(−f_i/ρ)) for "kl", there as accurate as the bracket.
    Cost: about that of `wasserstein` for n + 1 by m + 1 points; O(n + m) memory for many points.
        "kl" takes a few such problems, and about a hundred passes over all pairs.
    Reference: Piccoli and Rossi (2014); Chizat et al. (2018); Séjourné, Vialard and Peyré (2022).

    >>> unbalanced_wasserstein([0.0], [1.0], reach=2.0).distance
    1.0
    >>> unbalanced_wasserstein([0.0], [9.0], reach=2.0).distance
    4.0
    >>> unbalanced_wasserstein([0.0], [1.0], a=[1.0], b=[3.0], reach=2.0).cost
    5.0
    >>> import math
    >>> found = unbalanced_wasserstein([0.0], [1.0], reach=2.0, penalty="kl")
    >>> found.lower <= 4 * (1 - math.exp(-0.25)) <= found.upper
    True
    """
    reach = checks.positive("reach", reach)
    checks.choice("penalty", penalty, PENALTIES)
    task = of_samples(x, y, a, b, p, metric)
    return partly(task, rtol=rtol, solver=solver, reach=reach, penalty=penalty)


PENALTIES = ("tv", "kl")


def _options(solver: Any) -> Exact:
    """The exact solver that is given, or the default."""
    solver = Exact() if solver is None else solver
    return checks.instance("solver", solver, Exact, "None or an otdist.Exact")


def partly(
    task: Task,
    *,
    rtol: float | None = None,
    solver: Any = None,
    mass: float | None = None,
    reach: float | None = None,
    penalty: str = "tv",
) -> OTResult:
    """The answer to a task of masses, either for `mass` or for `reach`, one of which is given.

    An rtol of None is exact where that is possible, and else the default.

    Raises:
        TypeError, ValueError: options; see `partial_wasserstein` and `unbalanced_wasserstein`.
    """
    divergent = mass is None and penalty == "kl"
    if rtol is None:
        rtol = _KL_RTOL if divergent else 0.0
    rtol = checks.positive("rtol", rtol) if divergent else checks.number("rtol", rtol, least=0)
    solver = _options(solver)
    with threads_for(task.numbers):
        if mass is not None:
            found = partial_transport(task, _possible(task, mass), solver, rtol)
        else:
            assert reach is not None
            solve = divergent_transport if divergent else priced_transport
            found = solve(task, task.price(reach), solver, rtol)
        return _of_all(task, found)


def _possible(task: Task, mass: float) -> float:
    """The mass, where it can be moved."""
    most = min(float(w.detach().sum()) for w in (task.a, task.b))
    if mass > most * (1 + _MASS_TOLERANCE):
        raise ValueError(
            f"mass must be at most {most:.12g}, the smaller sum of the weights: got {mass:g}"
        )
    return min(mass, most)


def _of_all(task: Task, found: OTResult) -> OTResult:
    """The result with the points of mass zero, whose potentials keep below the price, too."""
    if task.whole is None:
        return found
    found = extended(task, found)
    if "price" not in found.details:
        return found
    return replace(found, _potentials=partial(_capped, found))


def _capped(found: OTResult) -> tuple[Any, Any]:
    f, g = found.potentials
    price = found.details["price"]
    return f.clip(max=price), g.clip(max=price)


def mass_or_reach(mass: Any, reach: Any, penalty: Any = "tv") -> tuple[float | None, float | None]:
    """Both options checked, at most one of which may be given; a penalty belongs to `reach`."""
    if mass is not None and reach is not None:
        raise ValueError("pass mass or reach, not both: either says how much may stay")
    if checks.choice("penalty", penalty, PENALTIES) != "tv" and reach is None:
        raise ValueError(f"penalty belongs to reach: got {penalty!r} without one")
    return (
        checks.optional(checks.positive, "mass", mass),
        checks.optional(checks.positive, "reach", reach),
    )


def of_samples(x: Any, y: Any, a: Any, b: Any, p: Any, metric: Any) -> Task:
    """The task of two samples whose weights are masses, with their graph."""
    p = checks.exponent(p)
    metric = None if metric is None else metrics.named(metric)
    if is_large(x, y, a, b):
        raise ValueError("x and y must fit into memory: dask arrays are not supported here")
    both = pair(x, y, a, b, p=p, metric=metric, masses=True)
    return of_pair(both, p)
