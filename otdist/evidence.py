"""Evidence of any origin, proved: a plan bounds W_p from above, potentials bound it from below."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from otdist import metrics
from otdist.core import checks
from otdist.core.arrays import as_tensor
from otdist.core.certificate import bracket, lower_from_potentials, upper_from_plan
from otdist.core.measure import WEIGHT_TOLERANCE, pair
from otdist.core.modes import full_precision
from otdist.core.result import Arcs, Bracket, warn_caller
from otdist.core.task import Task, of_pair


@full_precision()
def certify(
    x: Any,
    y: Any,
    *,
    plan: Any = None,
    potentials: Any = None,
    a: Any = None,
    b: Any = None,
    p: float = 1,
    metric: Any = "euclidean",
) -> Bracket:
    r"""The bracket that a plan and potentials of any origin prove for W_p between two samples.

    The upper end is the cost of the plan. What its marginals miss of the weights is charged at the
    largest distance, so that the end is valid for any plan. The lower end is the dual value of the
    potentials after a c-transform, which makes them feasible. Both are evaluated in float64 from
    the points, with their rounding.

    Args:
        x: Points of the first sample, shape (n, d), or (n,) on the line.
        y: Points of the second sample, shape (m, d) or (m,).
        plan: A matrix of masses (n, m), dense, of scipy.sparse or of torch.sparse; a tuple
            (rows, columns, mass) of arrays of one length; or a permutation, integers of shape (n,),
            which sends x_i to y[plan[i]] and needs n = m. None leaves the upper end infinite.
        potentials: (f, g) in cost units, shapes (n,) and (m,), feasible or not; either may be None.
            −inf marks a point whose value is not known. None leaves the lower end at 0.
        a: Weights of x, shape (n,), of sum one; uniform when None.
        b: Weights of y, shape (m,), likewise.
        p: Exponent, at least 1; the ground cost is d(x, y)^p.
        metric: d, as for `wasserstein`; Euclidean by default.

    Returns:
        lower ≤ W_p ≤ upper, in the units of x.

    Raises:
        TypeError: an argument that does not hold numbers.
        ValueError: bad samples or weights (see `wasserstein`); neither plan nor potentials; wrong
            shapes, NaN, negative masses, indices out of range, no permutation.

    Warns:
        UserWarning: the marginals of the plan miss the weights by more than 1e-6 of mass.

    Gradients: none.
    Cost: O(n m d) time for potentials, O((n + m) d) memory; of the plan, its positive entries.
    Reference: Peyré and Cuturi (2019), Computational Optimal Transport, section 2.5.

    >>> import numpy as np, scipy.optimize, otdist
    >>> x, y = np.random.default_rng(0).normal(size=(2, 50, 3))
    >>> cost = np.linalg.norm(x[:, None] - y, axis=2)
    >>> found = otdist.certify(x, y, plan=scipy.optimize.linear_sum_assignment(cost)[1])
    >>> otdist.wasserstein(x, y).distance <= found.upper, found.lower
    (True, 0.0)
    """
    if plan is None and potentials is None:
        raise ValueError("pass a plan, potentials or both: there is nothing to certify")
    p = checks.exponent(p)
    measures = pair(x, y, a, b, p=p, extends=True, metric=metrics.named(metric))
    task = of_pair(measures, p).detached()
    lower, upper = 0.0, math.inf
    if plan is not None:
        upper = _upper(task, _arcs(plan, task))
    if potentials is not None:
        lower = _lower(task, *_potentials(potentials, task))
    return bracket(lower, upper, p, task.scale)


def _upper(task: Task, arcs: Arcs) -> float:
    arcs = _stayed(task, arcs)
    missing = sum(
        float((w - torch.zeros_like(w).index_add_(0, at, arcs.mass)).abs().sum())
        for w, at in ((task.a, arcs.rows), (task.b, arcs.cols))
    )
    if missing > WEIGHT_TOLERANCE:
        warn_caller(
            f"the marginals of plan miss the weights by {missing:.3g} of mass, which is charged at "
            f"the largest distance; the plan has mass {float(arcs.mass.sum()):.6g}",
            UserWarning,
        )
    return upper_from_plan(task.cost, task.a, task.b, arcs)[1]


def _lower(task: Task, f: Tensor | None, g: Tensor | None) -> float:
    if f is None or g is None:
        return lower_from_potentials(task.cost, task.a, task.b, f=f, g=g).cost
    bound = lower_from_potentials(task.cost, task.a, task.b, f=f).cost
    # Of a feasible pair f alone proves as much; a pair that claims more than that is not feasible,
    # and the other potential may be the better one.
    claimed = float(task.a @ f + task.b @ g)
    if claimed > bound:
        bound = max(bound, lower_from_potentials(task.cost, task.a, task.b, g=g).cost)
    return bound


def _potentials(potentials: Any, task: Task) -> list[Tensor | None]:
    """Potentials of the points that carry mass, in scaled units."""
    if not isinstance(potentials, (tuple, list)) or len(potentials) != 2:
        raise ValueError(
            f"potentials must be a pair (f, g), one of which may be None: got "
            f"{checks.shown(potentials)}"
        )
    if potentials[0] is None and potentials[1] is None:
        raise ValueError("potentials must hold f or g: both are None")
    out: list[Tensor | None] = []
    for place, (value, size) in enumerate(zip(potentials, task.sizes, strict=True)):
        name = f"potentials[{place}]"
        if value is None:
            out.append(None)
            continue
        tensor = as_tensor(value, name).detach().to(task.a.device, torch.float64)
        if tensor.shape != (size,):
            raise ValueError(
                f"{name} must hold one number per point, shape ({size},): got shape "
                f"{tuple(tensor.shape)}"
            )
        absent = None if task.whole is None else (task.whole.x, task.whole.y)[place]
        tensor = tensor if absent is None else tensor[absent.present]
        if bool((tensor.isnan() | (tensor == math.inf)).any()) or float(tensor.max()) == -math.inf:
            raise ValueError(f"{name} must be finite somewhere, and neither NaN nor +inf")
        out.append(task.in_scaled_units(tensor))
    return out


def _arcs(plan: Any, task: Task) -> Arcs:
    """The positive masses of a plan of any form, between the caller's points."""
    if isinstance(plan, tuple):
        arcs = _of_triple(plan, task)
    elif hasattr(plan, "tocoo") or (isinstance(plan, Tensor) and plan.layout != torch.strided):
        coordinates = plan.to_sparse_coo() if isinstance(plan, Tensor) else plan
        _check_shape(tuple(plan.shape), task)
        arcs = Arcs.of(coordinates)
    else:
        dense = as_tensor(plan, "plan").detach()
        if dense.ndim == 1:
            arcs = _of_permutation(dense, task)
        else:
            _check_shape(tuple(dense.shape), task)
            rows, cols = dense.nonzero(as_tuple=True)
            arcs = Arcs(rows, cols, dense[rows, cols].double(), task.sizes)
    low, high = (float(v) for v in torch.aminmax(arcs.mass)) if len(arcs.mass) else (0.0, 0.0)
    if not math.isfinite(low + high):
        raise ValueError("plan must be finite: found a mass that is NaN or infinite")
    if low < 0:
        raise ValueError(f"plan must be non-negative: the lowest mass is {low:.6g}")
    rows, cols, mass = (v.to(task.a.device) for v in (arcs.rows, arcs.cols, arcs.mass))
    return Arcs(rows, cols, mass, task.sizes)


def _check_shape(shape: tuple[int, ...], task: Task) -> None:
    if shape != task.sizes:
        raise ValueError(
            f"plan must have one row per point of x and one column per point of y, shape "
            f"{task.sizes}: got shape {shape}"
        )


def _of_permutation(targets: Tensor, task: Task) -> Arcs:
    n, m = task.sizes
    if n != m or targets.shape != (n,):
        raise ValueError(
            f"plan as a permutation must have shape (n,) and needs n = m: got {len(targets)} "
            f"entries for {n} and {m} points"
        )
    cols = _indices(targets, m, "plan")
    times = torch.bincount(cols, minlength=m)
    if int(times.max()) > 1:
        raise ValueError(
            f"plan must be a permutation: target {int(times.argmax())} occurs "
            f"{int(times.max())} times"
        )
    mass = torch.full((n,), 1.0 / n, dtype=torch.float64, device=cols.device)
    return Arcs(torch.arange(n, device=cols.device), cols, mass, task.sizes)


def _of_triple(plan: tuple[Any, ...], task: Task) -> Arcs:
    if len(plan) != 3:
        raise ValueError(f"plan as a tuple must be (rows, columns, mass): got {len(plan)} entries")
    names = ("plan[0]", "plan[1]", "plan[2]")
    parts = [as_tensor(v, name).detach() for v, name in zip(plan, names, strict=True)]
    shapes = [tuple(part.shape) for part in parts]
    if len(set(shapes)) > 1 or parts[0].ndim != 1:
        raise ValueError(
            f"plan must hold rows, columns and mass of one length: got shapes {shapes}"
        )
    rows, cols = (
        _indices(part, size, name)
        for part, size, name in zip(parts, task.sizes, names, strict=False)
    )
    return Arcs(rows, cols, parts[2].double(), task.sizes)


def _indices(values: Tensor, size: int, name: str) -> Tensor:
    """Indices below `size`; numbers of floating type where they are whole (numpy's int64 is read
    as float64).
    """
    index = values.long()
    if not bool((index == values).all()):
        raise ValueError(f"{name} must hold integers: got {values.dtype}")
    if len(index) and not (int(index.min()) >= 0 and int(index.max()) < size):
        bad = int(index.min()) if int(index.min()) < 0 else int(index.max())
        raise ValueError(f"{name} must hold indices from 0 to {size - 1}: got {bad}")
    return index


def _stayed(task: Task, arcs: Arcs) -> Arcs:
    """The arcs between points that carry weight, by their places in the task."""
    if task.whole is None:
        return arcs
    ends, keep = [], torch.ones_like(arcs.rows, dtype=torch.bool)
    for side, at in ((task.whole.x, arcs.rows), (task.whole.y, arcs.cols)):
        place = at if side is None else side.places()[at]
        keep &= place >= 0
        ends.append(place)
    return Arcs(ends[0][keep], ends[1][keep], arcs.mass[keep], task.cost.shape)
