r"""Exact W_1 for the cityblock distance by a flow between neighbours on a lattice.

The cityblock distance is the length of the shortest way along the edges of any lattice that holds
both points. So W_1 is the cheapest flow on its edges, 2 d N arcs between N places instead of n m
(Ling, Okada 2007, An efficient earth mover's distance algorithm for robust histogram comparison):

.. math::  \min_{F \ge 0} \sum_e \ell_e F_e, \qquad \text{outflow} - \text{inflow} = a - b
           \text{ at every place}.

It is handed to the network simplex as a transport problem (Orden 1956): every place is a source and
a target of an additional mass B, at least what can pass through it, with an arc of cost 0 between
them. The plan follows the flow from place to place; any way to pair what meets at a place costs the
same. Two images of 64 by 64 pixels take 0.05 s, by column generation 29 s.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import torch
from torch import Tensor

from otdist.core.metric import MetricCost
from otdist.core.point_cost import Cost
from otdist.core.result import Arcs
from otdist.exact import network_simplex
from otdist.exact.limits import Outcome

_PLACES = 4.0  # per point: with more, all pairs may be fewer than edges and empty places


def solve(cost: Cost, a: Tensor, b: Tensor) -> Outcome | None:
    """An optimal plan and potential; None where the cost is another, or points fill no lattice.

    Args:
        cost: Between points, shape (n, m).
        a: Weights of the sources, shape (n,), float64, positive, of sum one.
        b: Weights of the targets, shape (m,), likewise.
    """
    found = lattice(cost)
    if found is None:
        return None
    n, (axes, places) = len(a), found
    tails, heads, lengths = _edges(axes)
    size = math.prod(map(len, axes))
    mass_a, mass_b = a.cpu().numpy(), b.cpu().numpy()
    net = np.bincount(places[:n], mass_a, size) - np.bincount(places[n:], mass_b, size)
    used, height = _flow(net, tails, heads, lengths)
    arcs = _pairs(places, (mass_a, mass_b), used)
    rows, cols, mass = (torch.from_numpy(part).to(a.device) for part in arcs)
    g = torch.from_numpy(-height[places[n:]]).to(a.device)
    message = "exact: the cheapest flow between neighbours on the lattice"
    return Outcome(Arcs(rows, cols, mass, (n, len(b))), g, 0, True, message)


def lattice(cost: Cost) -> tuple[list[np.ndarray], np.ndarray] | None:
    """The lattice that points fill, where its edges carry the cost.

    Returns:
        Its axes, in units of the cost, and the place of every source and target, shape (n + m,).
    """
    if not isinstance(cost, MetricCost) or cost.p != 1 or cost.metric.additive != 1:
        return None
    axes, places = [], np.zeros(sum(cost.shape), np.int64)
    for column in torch.cat([cost.x, cost.y]).double().cpu().numpy().T:
        values, at = np.unique(column, return_inverse=True)
        axes.append(values / cost.unit)
        places = places * len(values) + at
        if math.prod(map(len, axes)) > _PLACES * len(places):
            return None
    return axes, places


def _edges(axes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tails, heads and lengths of the edges between neighbours, in both directions."""
    index = np.arange(math.prod(map(len, axes))).reshape([len(axis) for axis in axes])
    tails, heads, lengths = [], [], []
    for k, axis in enumerate(axes):
        turned = np.moveaxis(index, k, -1)
        near, far = turned[..., :-1], turned[..., 1:]
        length = np.broadcast_to(np.diff(axis), near.shape).ravel()
        tails += [near.ravel(), far.ravel()]
        heads += [far.ravel(), near.ravel()]
        lengths += [length, length]
    return np.concatenate(tails), np.concatenate(heads), np.concatenate(lengths)


def _flow(
    net: np.ndarray, tails: np.ndarray, heads: np.ndarray, lengths: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Arcs in use (tails, heads, mass), and the height of each place: flow falls by its length."""
    supply, demand = np.maximum(net, 0), np.maximum(-net, 0)
    moved = math.fsum(supply)
    if not moved > 0:
        empty = np.empty(0, np.int64)
        return (empty, empty, np.empty(0)), np.zeros(len(net))
    # In units of what moves: the simplex has absolute tolerances of the size of its least supplies.
    supply, demand = supply / moved, demand / (math.fsum(demand) or 1.0)
    here = np.arange(len(net))
    flow = network_simplex.solve_sparse(
        supply + 1.0,
        demand + 1.0,
        np.concatenate([here, tails]),
        np.concatenate([here, heads]),
        np.concatenate([np.zeros(len(net)), lengths]),
    )
    real = flow.rows != flow.cols
    return (flow.rows[real], flow.cols[real], flow.mass[real] * moved), flow.f


def _pairs(
    places: np.ndarray,
    weights: tuple[np.ndarray, np.ndarray],
    used: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The plan between points: mass is followed along the flow, parcels to the first free target.

    Args:
        places: Of all sources, then of all targets.
        weights: Of both.
        used: Arcs of the flow, which make no cycle.
    """
    n = len(weights[0])
    parcels: dict[int, deque[tuple[int, float]]] = {}
    for i, (place, mass) in enumerate(zip(places[:n].tolist(), weights[0].tolist(), strict=True)):
        parcels.setdefault(place, deque()).append((i, mass))
    targets: dict[int, list[tuple[int, float]]] = {}
    for j, (place, mass) in enumerate(zip(places[n:].tolist(), weights[1].tolist(), strict=True)):
        targets.setdefault(place, []).append((j, mass))
    onward: dict[int, list[tuple[int, float]]] = {}
    awaited: dict[int, int] = {}  # arcs that lead to a place and whose mass has not come yet
    for tail, head, mass in zip(*(part.tolist() for part in used), strict=True):
        onward.setdefault(tail, []).append((head, mass))
        awaited[head] = awaited.get(head, 0) + 1
    plan: list[tuple[int, int, float]] = []
    ready = [place for place in {*parcels, *onward} if place not in awaited]
    while ready:
        place = ready.pop()
        here = parcels.pop(place, None) or deque()
        for j, mass in targets.get(place, ()):
            plan += [(i, j, part) for i, part in _taken(here, mass)]
        ways = onward.get(place, ())
        for head, _ in ways:
            awaited[head] -= 1
            if not awaited[head]:
                ready.append(head)
        for head, mass in ways[:-1]:
            parcels.setdefault(head, deque()).extend(_taken(here, mass))
        if ways and here:  # all that is left, rounding as well, goes the last way
            there = parcels.get(ways[-1][0])
            if there is None:
                parcels[ways[-1][0]] = here
            elif len(there) >= len(here):
                there.extend(here)
            else:
                here.extend(there)
                parcels[ways[-1][0]] = here
    rows, cols, mass = zip(*plan, strict=True)
    return np.array(rows), np.array(cols), np.array(mass)


def _taken(parcels: deque[tuple[int, float]], mass: float) -> list[tuple[int, float]]:
    """Parcels of so much mass in all, or what there is, taken off the front."""
    out = []
    while parcels and mass > 0:
        i, part = parcels[0]
        if part > mass:
            parcels[0] = i, part - mass
            out.append((i, mass))
            break
        parcels.popleft()
        out.append((i, part))
        mass -= part
    return out
