r"""Slices of the sphere: the average over great circles of closed forms on the circle.

.. math::  SSW_p^p(x, y) = E_{U}\, W_p^p(P_U x, P_U y), \qquad P_U z = \arg(U^\top z)

with U uniform on the orthonormal pairs (d, 2) and P_U z the nearest point on its great circle, as
an angle (Bonet, Berg, Courty, Septier, Drumetz and Pham 2023, Spherical sliced-Wasserstein). Each
circle is cut where it is best (`line.cut`), and all of them are one batch on the line from there.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from otdist.core.certificate import between
from otdist.core.gradient import root
from otdist.core.measure import Measure, SamplePair
from otdist.core.result import Bracket, SlicedResult
from otdist.core.threads import each
from otdist.line import cut, univariate
from otdist.sliced import directions as families
from otdist.sliced.bounds import detached, slice_bracket
from otdist.sliced.directions import Directions

TURN = 2 * math.pi
DEFAULT_CIRCLES = 256
_BLOCK = 1 << 20  # angles at a time
_BOUNDING = 256  # directions that the bracket is computed with, at most


def draw(count: int, d: int, seed: int | None) -> np.ndarray:
    """Independent uniform orthonormal pairs (L, 2, d); one for d = 2, where all are one circle.

    >>> frames = draw(5, 3, 0)
    >>> np.allclose(frames @ frames.transpose(0, 2, 1), np.eye(2))
    True
    """
    rng = np.random.default_rng(seed)
    return families.orthonormal_rows(rng.standard_normal((1 if d == 2 else count, d, 2)))


def angles(points: Tensor, frames: np.ndarray) -> Tensor:
    """Places of points (n, d) on great circles (L, 2, d), (L, n), from 0 to one turn.

    What is at right angles to a circle has no nearest point on it, and is put at 0.
    """
    both = points @ torch.from_numpy(frames.reshape(-1, points.shape[1])).to(points).T
    first, second = both.T.reshape(len(frames), 2, -1).unbind(1)
    lost = (first == 0) & (second == 0)
    return torch.remainder(torch.atan2(second, torch.where(lost, 1.0, first)), TURN)


def costs(pair: SamplePair, p: float, frames: np.ndarray) -> Tensor:
    """W_p^p along each great circle, (L,), with the graph of the points."""
    step = max(1, _BLOCK // pair.size)
    parts = [_costs(pair, p, frames[lo : lo + step]) for lo in range(0, len(frames), step)]
    return torch.cat(parts)


def _costs(pair: SamplePair, p: float, frames: np.ndarray) -> Tensor:
    x, y = (angles(side.points, frames) for side in (pair.x, pair.y))
    shift_x, shift_y = torch.zeros_like(x.detach()), torch.zeros_like(y.detach())
    (xs, order_x), (ys, order_y) = (z.detach().sort(1) for z in (x, y))
    a, b = (_sorted_weights(side, o) for side, o in ((pair.x, order_x), (pair.y, order_y)))
    lines_x, lines_y = xs.cpu().numpy(), ys.cpu().numpy()

    def work(part: slice) -> None:
        for k in range(len(frames))[part]:
            u, v = (None if w is None else w[k] for w in (a, b))
            place = cut.best(lines_x[k], lines_y[k], u, v, TURN, p)
            shift_x[k, order_x[k, : place.x]] = TURN
            shift_y[k] = place.turns * TURN
            shift_y[k, order_y[k, : place.y]] += TURN

    each([slice(k, k + 1) for k in range(len(frames))], work, x.device)
    weights = (None if side.uniform else side.weights.detach() for side in (pair.x, pair.y))
    return univariate.cost(x + shift_x, y + shift_y, p, *weights)


def _sorted_weights(side: Measure, order: Tensor) -> np.ndarray | None:
    if side.uniform:
        return None
    return side.weights.detach()[order].cpu().numpy()


def average(pair: SamplePair, p: float, count: int, seed: int | None) -> SlicedResult:
    """SSW_p of unit vectors, with its graph, over `count` great circles.

    Raises:
        ValueError: weights that require a gradient.
    """
    started = time.perf_counter()
    if torch.is_grad_enabled() and any(s.weights.requires_grad for s in (pair.x, pair.y)):
        raise ValueError("a and b must not require a gradient on great circles: detach them")
    frames = draw(count, pair.x.points.shape[1], seed)
    values = costs(pair, p, frames)
    mean, kept = values.mean(), detached(pair)
    rows = frames.reshape(len(frames), -1)
    circles = Directions(rows[:, :1] if len(rows) == 1 else rows, np.arange(len(rows)))
    spread = families.standard_error(values.detach().cpu().numpy(), circles, p)
    return SlicedResult(
        distance=pair.kind.number(root(mean, p)),
        cost=pair.kind.number(mean),
        p=p,
        stderr=spread,
        slices=pair.kind.array(root(values.detach(), p)),
        directions=pair.kind.array(torch.from_numpy(frames).to(pair.kind.device)),
        seconds=time.perf_counter() - started,
        _bracket=partial(_bracket, kept, p, frames),
    )


def _bracket(pair: SamplePair, p: float, frames: np.ndarray) -> Bracket:
    """W_p for arcs, by that for chords: an arc is at least its chord, and at most π/2 of it."""
    rows = frames.reshape(-1, frames.shape[2])[:_BOUNDING]
    chords = slice_bracket(replace(pair, metric=None), p, rows, np.arange(len(rows)) // 2)
    off = pair.error
    return between(max(chords.lower - off, 0.0), chords.upper * (math.pi / 2) * (1 + 1e-15) + off)
