r"""Costs between the places of two lattices, Σ_k |x_k − y_k|^p: one axis at a time.

A soft-min over N = W^d places is d soft-mins over lines of W: W^(d + 1) terms instead of W^(2d).

.. math::  \log \sum_j e^{h_j - c(i, j)}
           = \log \sum_{j_1} e^{-c(i_1, j_1)} \sum_{j_2} e^{-c(i_2, j_2)} e^{h_j} .

Along an axis both lines are cut into tiles. Between tiles of i and of j with middles i₀ and j₀

    c(i, j) = c(i, j₀) + [c(i₀, j) − c(i₀, j₀)] + ρ(i, j),

where ρ is small however far apart the tiles are: |ρ| ≤ T²/2 for squares and T places of distance 1.
Tiles are so narrow that exp(−ρ/eps) stays within float64. A tile is then one matrix product
between two steps of log-sum-exp, with one exponential for T terms, and no term that matters is
lost: 256 by 256 pixels at eps = 1 pixel² take 20 ms of one core instead of 300.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from otdist.core.cost import LOG2E, exp2_
from otdist.core.threads import each, held

_RANGE = 480.0
"""Bits that ρ/eps may take: twice that, and the digits of a sum, are what float64 can hold."""

_ENTRIES = 2**17  # numbers of a block: one megabyte; 2^15 to 2^18 take the same time
_LOW = -1e300  # of levels that stand for −inf, whose differences are taken


class Axis:
    """Costs |v − u|^p between the coordinates v (V,) of the sources and u (W,) of the targets."""

    def __init__(self, v: Tensor, u: Tensor, p: float) -> None:
        self.v, self.u, self.p = v, u, p
        self._tiles: tuple[float, Tiles] | None = None

    @cached_property
    def costs(self) -> Tensor:
        """All costs, shape (V, W)."""
        gaps = (self.v[:, None] - self.u).abs_()
        return gaps if self.p == 1 else gaps.square_() if self.p == 2 else gaps.pow_(self.p)

    def tiles(self, eps: float) -> Tiles:
        """The tiles at one eps; those of the last call are kept."""
        if self._tiles is None or self._tiles[0] != eps:
            self._tiles = eps, Tiles.of(self.costs * (LOG2E / eps))
        return self._tiles[1]

    def lowest(self, lines: Tensor) -> Tensor:
        """min_j c_ij + h_j of lines (R, W), shape (R, V)."""
        out = lines.new_empty(len(lines), len(self.v))
        step = max(1, _ENTRIES // self.costs.numel())

        def block(part: slice) -> None:
            out[part] = (self.costs + lines[part, None]).amin(-1)

        each(_parts(len(lines), step), block, lines.device)
        return out


@dataclass
class Tiles:
    """Exponents of one axis in base 2, c_ij / (eps log 2), in tiles of T by T.

    Attributes:
        length: Number of sources V.
        alpha: c(i, j₀), shape (I, J, 1, T).
        beta: c(i₀, j) − c(i₀, j₀), shape (I, J, 1, T).
        rho: The remainder, shape (I, J, T, T).
        costs: All of them, likewise.
    """

    length: int
    alpha: Tensor
    beta: Tensor
    rho: Tensor
    costs: Tensor

    @classmethod
    def of(cls, costs: Tensor) -> Tiles:
        """The widest tiles whose remainders float64 can hold."""
        size = max(costs.shape)
        while True:
            size = -(-max(costs.shape) // -(-max(costs.shape) // size))  # tiles of even widths
            rows, heads = _cut(costs.shape[0], size, costs.device)
            columns, middles = _cut(costs.shape[1], size, costs.device)
            alpha = costs[rows][:, middles].unflatten(0, (-1, size)).transpose(1, 2)
            beta = costs[heads][:, columns].unflatten(1, (-1, size))
            beta = beta - costs[heads][:, middles][..., None]
            tile = costs[rows][:, columns].unflatten(1, (-1, size)).unflatten(0, (-1, size))
            tile = tile.transpose(1, 2)
            rho = tile - alpha[..., None] - beta[:, :, None]
            if size == 1 or float(rho.abs().max()) <= _RANGE:
                return cls(len(costs), alpha[:, :, None], beta[:, :, None], rho, tile)
            size = max(1, size * 7 // 8)

    @cached_property
    def kernel(self) -> Tensor:
        """2^−ρ, targets before sources."""
        return torch.exp2(-self.rho).mT.contiguous()

    @cached_property
    def weighted(self) -> Tensor:
        """The same times the costs."""
        return self.kernel * self.costs.mT

    def sums(self, lines: Tensor) -> Tensor:
        """log₂ Σ_j 2^(h_j − c_ij) of lines h (R, W), shape (R, V), float64; −inf drops a target."""
        return self._sums(lines, self.kernel)

    def sums_of_costs(self, lines: Tensor) -> Tensor:
        """log₂ Σ_j c_ij 2^(h_j − c_ij), likewise."""
        return self._sums(lines, self.weighted)

    def _sums(self, lines: Tensor, kernel: Tensor) -> Tensor:
        count, size = self.alpha.shape[1], self.alpha.shape[3]
        missing = count * size - lines.shape[1]
        if missing:
            lines = torch.cat([lines, lines.new_full((len(lines), missing), -math.inf)], 1)
        out = lines.new_empty(len(lines), self.length)
        step = max(1, _ENTRIES // (count * size))

        def block(part: slice) -> None:
            shape = (count, part.stop - part.start, size)
            tiles = held("tiles", shape, lines.dtype, lines.device)
            tiles.copy_(lines[part].unflatten(1, (count, size)).transpose(0, 1))
            for k in range(len(self.alpha)):
                places = slice(k * size, min((k + 1) * size, self.length))
                sums = self._tile(tiles, kernel[k], k)
                out[part, places] = sums[:, : places.stop - places.start]

        each(_parts(len(lines), step), block, lines.device)
        return out

    def _tile(self, tiles: Tensor, kernel: Tensor, k: int) -> Tensor:
        """Sums for one tile of sources, shape (R, T), from all tiles of targets (J, R, T)."""
        terms, found = (
            held(name, tiles.shape, tiles.dtype, tiles.device) for name in ("terms", "found")
        )
        top = torch.sub(tiles, self.beta[k], out=terms).amax(-1, keepdim=True)
        torch.bmm(exp2_(terms.sub_(top.clamp(min=_LOW))), kernel, out=found)
        level = torch.sub(top, self.alpha[k], out=terms)
        best = level.amax(0).clamp_(min=_LOW)
        return exp2_(level.sub_(best)).mul_(found).sum(0).log2_().add_(best)


class Lattices:
    """Σ_k |x_k − y_k|^p between all places of two lattices, for any number of measures at once.

    Measures and potentials are (…, m) or (…, n), places in the order of the axes.

    Attributes:
        axes: An `Axis` for each coordinate, of float64.
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = tuple(axes)
        self._turned: Lattices | None = None

    @property
    def T(self) -> Lattices:
        """The costs from targets to sources."""
        if self._turned is None:
            self._turned = Lattices([Axis(axis.u, axis.v, axis.p) for axis in self.axes])
            self._turned._turned = self
        return self._turned

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m): places of the sources and of the targets."""
        return (
            math.prod(len(axis.v) for axis in self.axes),
            math.prod(len(axis.u) for axis in self.axes),
        )

    @property
    def largest(self) -> float:
        """The largest cost."""
        return float(sum(axis.costs.max() for axis in self.axes))

    def softmin(self, h: Tensor, eps: float) -> Tensor:
        """−eps · log Σ_j exp((h_j − c_ij)/eps), shape (…, n), float64; −inf drops a target."""
        unit = LOG2E / eps
        lines = self._unfolded(h) * unit
        for k, axis in enumerate(self.axes):
            lines = _along(lines, k, axis.tiles(eps).sums)
        return lines.div_(-unit).view(*h.shape[:-1], -1)

    def spent(self, h: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """Log Σ_j exp((h_j − c_ij)/eps), and that of the same terms times c_ij; both (…, n)."""
        unit = LOG2E / eps
        plain = self._unfolded(h) * unit
        paid = torch.full_like(plain, -math.inf)
        for k, axis in enumerate(self.axes):
            tiles = axis.tiles(eps)
            more = _along(plain, k, tiles.sums_of_costs)
            paid = torch.logaddexp2(_along(paid, k, tiles.sums), more)
            plain = _along(plain, k, tiles.sums)
        plain, paid = (part.reshape(*h.shape[:-1], -1) for part in (plain, paid))
        return plain / LOG2E, (paid - math.log2(unit)) / LOG2E

    def ctransform(self, g: Tensor) -> Tensor:
        """min_j c_ij − g_j, shape (…, n), float64, exact to the rounding of d + 1 sums a term."""
        lines = -self._unfolded(g)
        for k, axis in enumerate(self.axes):
            lines = _along(lines, k, axis.lowest)
        return lines.reshape(*g.shape[:-1], -1)

    def mean(self, a: Tensor, b: Tensor) -> Tensor:
        """Σ_ij a_i b_j c_ij, shape (…,)."""
        parts = zip(self._marginals(a, 0), self._means(b), strict=True)
        return torch.stack([(w * c).sum(-1) for w, c in parts]).sum(0)

    def apply(self, b: Tensor) -> Tensor:
        """Σ_j b_j c_ij, shape (…, n)."""
        return _spread(self._means(b))

    def farthest(self, b: Tensor) -> Tensor:
        """max_i (c̄_i − c_ij) with c̄_i = Σ_j b_j c_ij, shape (…, m)."""
        parts = zip(self._means(b), self.axes, strict=True)
        return _spread([(c[..., None] - axis.costs).amax(-2) for c, axis in parts])

    def _means(self, b: Tensor) -> list[Tensor]:
        """Mean costs along each axis, shapes (…, V)."""
        parts = zip(self._marginals(b, 1), self.axes, strict=True)
        return [marginal @ axis.costs.T for marginal, axis in parts]

    def _marginals(self, weights: Tensor, side: int) -> list[Tensor]:
        """The masses of the places of each axis, of the sources (0) or of the targets (1)."""
        masses, d = weights.double().unflatten(-1, self._places(side)), len(self.axes)
        others = ([j - d for j in range(d) if j != k] for k in range(d))
        return [masses.sum(dims) if dims else masses for dims in others]

    def _unfolded(self, values: Tensor) -> Tensor:
        """Values of the targets (…, m) with an axis for each coordinate, shape (B, m_1, …, m_d)."""
        return values.double().reshape(-1, *self._places(1))

    def _places(self, side: int) -> tuple[int, ...]:
        return tuple(len((axis.v, axis.u)[side]) for axis in self.axes)


def _along(values: Tensor, k: int, work: Callable[[Tensor], Tensor]) -> Tensor:
    """Values (B, s_1, …, s_d) with the lines of one axis replaced by what `work` makes of them."""
    moved = values.movedim(k + 1, -1)
    lines = work(moved.reshape(-1, moved.shape[-1]))
    return lines.unflatten(0, moved.shape[:-1]).movedim(-1, k + 1)


def _spread(parts: Sequence[Tensor]) -> Tensor:
    """The sums of an entry of each part (…, s_k), shape (…, s_1 ⋯ s_d)."""
    total = parts[0]
    for part in parts[1:]:
        total = (total[..., :, None] + part[..., None, :]).flatten(-2)
    return total


def _cut(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices of all tiles, the last one filled up with the last place, and of their middles."""
    index = torch.arange(-(-length // size) * size, device=device).clamp_(max=length - 1)
    return index, index[size // 2 :: size]


def _parts(length: int, step: int) -> list[slice]:
    return [slice(lo, min(lo + step, length)) for lo in range(0, length, step)]
