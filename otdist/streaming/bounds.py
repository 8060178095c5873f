r"""What two grids prove about W_p between the samples that they sum up, for every p ≥ 1.

Write F⁻¹, G⁻¹ for the quantile functions. The staircase of the cells' masses cuts [0, 1] into
pieces, of mass m_kl, on which F⁻¹ runs in cell k of x, with mean x_k, lowest l_k and highest h_k,
and G⁻¹ in cell l of y. Let d = x_k − y_l and V = Σ m_kl |d_kl|^p, the cost between the means.

**Upper.** On every piece let the two points be independent, each with its cell's distribution: that
is a plan. |x − y|^p is convex in x and in y, and among distributions on [l, h] of a given mean a
convex function is largest on average for the one on the two ends. So the plan costs no more
than a sum over the four corners of each piece.

**Lower.** A convex function lies above its tangents: with s = p |d|^(p−1) sign d,

.. math:: |F⁻¹ − G⁻¹|^p \ge |d|^p + s (F⁻¹ − x_k) - s (G⁻¹ − y_l) .

Over the whole of cell k, F⁻¹ − x_k integrates to 0, so that only the deviation of s from any
constant s_k counts: W_p^p ≥ V − Σ m_kl (|s − s_k| r_k + |s − s_l| r_l), r the largest distance
of a point of the cell from its mean.

Both bounds are of second order in the width for p ≥ 2. For p = 1 they cost nothing where the
quantile functions do not cross: samples of which one lies above the other, in quantiles, are
compared exactly, however wide the cells. Where they cross, at most the widths of the two cells
are lost, for the mass of the cells that meet there.

Rounding slack, outward: the means carry the error of their sums, √n roundings of a width, and
breakpoints of given weights √n roundings of one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from otdist.core.certificate import UNIT
from otdist.line.staircase import Staircase, power, staircase
from otdist.streaming.grid import Grid

_HALF_RANGE = 2.0**1023


class LineCost(NamedTuple):
    """W_p^p on the line between two sketched samples, in units of scale**p.

    Attributes:
        value: The cost between the cells' means.
        lower: The exact cost of the samples is not below it.
        upper: Nor above it.
        scale: A power of two, in the units of the points.
    """

    value: float
    lower: float
    upper: float
    scale: float


class _Cells(NamedTuple):
    """Scaled columns of a grid; `share` is the low end's chance in the extreme distribution."""

    mass: Tensor
    mean: Tensor
    low: Tensor
    high: Tensor
    share: Tensor
    reach: Tensor


def line_cost(x: Grid, y: Grid, p: float) -> LineCost:
    """The cost between two sketches and what it proves; O(cells log(cells)).

    Args:
        x: First sample, at least one point.
        y: Second sample.
        p: Exponent, at least 1.
    """
    scale = _gap_scale(x, y)
    cx, cy = _cells(x, scale), _cells(y, scale)
    stairs = staircase(cx.mass, cy.mass, len(cx.mass), len(cy.mass))
    # Breakpoints of counts that coincide do so exactly, and what lies between them has no mass.
    met = power(cx.mean[stairs.rows] - cy.mean[stairs.cols], p)
    used = stairs.mass > 0
    stairs = Staircase(stairs.rows[used], stairs.cols[used], stairs.mass[used])
    gaps = cx.mean[stairs.rows] - cy.mean[stairs.cols]
    costs = power(gaps, p)
    value = float(costs @ stairs.mass)
    upper = value if x.exact and y.exact else _upper(cx, cy, stairs, p)
    lower = value - _loss(cx, cy, stairs, gaps, p)
    met = met if x.weighted or y.weighted else costs
    slack = _slack(cx, cy, (x, y), met, p)
    if bool(gaps.any()):  # what powers lose below the normal numbers
        slack += 2.0**-1000
    return LineCost(
        value,
        max(lower - slack - 64 * UNIT * value, 0.0),
        upper + slack + 64 * UNIT * upper,
        scale,
    )


def _gap_scale(x: Grid, y: Grid) -> float:
    """A power of two above all distances that mass may cross; 1 when there are none.

    Powers of such distances do not overflow, and those of the largest do not underflow, however far
    the points are from the origin.
    """
    of_x, of_y = torch.from_numpy(x.mass), torch.from_numpy(y.mass)
    stairs = staircase(of_x, of_y, len(x.mass), len(y.mass))
    rows, cols, used = stairs.rows.numpy(), stairs.cols.numpy(), stairs.mass.numpy() > 0
    with np.errstate(over="ignore"):
        gaps = np.maximum(np.abs(x.high[rows] - y.low[cols]), np.abs(y.high[cols] - x.low[rows]))
    widest = float(gaps.max(initial=0.0, where=used))
    if widest >= _HALF_RANGE:  # whose power of two would overflow
        return _HALF_RANGE
    return math.ldexp(1.0, math.frexp(widest)[1]) if widest > 0 else 1.0


def _cells(grid: Grid, scale: float) -> _Cells:
    mass, mean, low, high = (
        torch.from_numpy(v) for v in (grid.mass, grid.mean, grid.low, grid.high)
    )
    mean, low, high = mean / scale, low / scale, high / scale
    spread = high - low
    share = torch.where(spread > 0, (high - mean) / spread, 1.0)
    return _Cells(mass, mean, low, high, share, torch.maximum(high - mean, mean - low))


def _upper(x: _Cells, y: _Cells, stairs: Staircase, p: float) -> float:
    """Σ m_kl Σ over the four corners of |corner of x − corner of y|^p times its chance."""
    rows, cols, mass = stairs.rows, stairs.cols, stairs.mass
    total = 0.0
    for ends_x, chance_x in ((x.low, x.share), (x.high, 1 - x.share)):
        at_x, by_x = ends_x[rows], chance_x[rows] * mass
        for ends_y, chance_y in ((y.low, y.share), (y.high, 1 - y.share)):
            total += float(power(at_x - ends_y[cols], p) @ (by_x * chance_y[cols]))
    return total


def _loss(x: _Cells, y: _Cells, stairs: Staircase, gaps: Tensor, p: float) -> float:
    """Σ m_kl (|s − s_k| r_k + |s − s_l| r_l), with weighted means of s for s_k and s_l."""
    slope = p * gaps.abs().pow(p - 1) * gaps.sign()
    lost = 0.0
    for cells, index in ((x, stairs.rows), (y, stairs.cols)):
        if not bool(cells.reach.any()):
            continue
        total = torch.zeros_like(cells.mass).index_add_(0, index, stairs.mass)
        mean = torch.zeros_like(cells.mass).index_add_(0, index, stairs.mass * slope)
        mean = torch.where(total > 0, mean / total.clamp(min=1e-300), 0.0)
        off = (slope - mean[index]).abs()
        # Where s is constant on a cell its mean differs by rounding alone, which is not a loss.
        off = torch.where(off > 8 * UNIT * slope.abs(), off, 0.0)
        lost += float((off * cells.reach[index]) @ stairs.mass)
    return lost


def _slack(x: _Cells, y: _Cells, grids: tuple[Grid, Grid], costs: Tensor, p: float) -> float:
    """What rounding of means and breakpoints can move the cost by; `costs` are those of pieces."""
    low, high = min(float(x.low[0]), float(y.low[0])), max(float(x.high[-1]), float(y.high[-1]))
    reach, size = high - low, max(abs(low), abs(high))
    wide = any(bool((cells.high > cells.low).any()) for cells in (x, y))
    steep = float(p * torch.tensor(reach, dtype=torch.float64) ** (p - 1)) if wide else 0.0
    # Breakpoints that move by τ change the cost by at most τ times the variation of |F⁻¹ − G⁻¹|^p.
    variation = float(costs.diff().abs().sum())
    means = breaks = 0.0
    for cells, grid in zip((x, y), grids, strict=True):
        width = float((cells.high - cells.low).max())
        if width > 0:
            means += 2 * UNIT * size + 4 * UNIT * math.sqrt(grid.count) * width
            variation += 2 * steep * reach
        breaks += UNIT * math.sqrt(grid.count if grid.weighted else len(cells.mass))
    return steep * means + 4 * breaks * variation
