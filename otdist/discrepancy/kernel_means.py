r"""Mean kernels between and within two samples: what energy, MMD and KID have in common.

All are E k(x, x') + E k(y, y') − 2 E k(x, y). Without the pairs of a point with itself the value
is unbiased, with influence 2 (mean kernel to the own sample − mean kernel to the other) (Gretton et
al. 2012). For labellings, rows of K are computed in blocks, each used for all labellings at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from otdist.core.measure import SamplePair
from otdist.core.progress import share_done
from otdist.core.task import ground
from otdist.discrepancy.limit import Linear, of_influence
from otdist.moments import kernels

_ROUNDING = 2.0**-50
"""Relative rounding of a sum of some terms of K; it grows like the root of their number."""


@dataclass(frozen=True)
class Means:
    """Row means of a kernel within two samples and between them, and what follows from them.

    Attributes:
        xx: Σ_j k(x_i, x_j), shape (n,), the point itself included.
        yy: Σ_j k(y_i, y_j), shape (m,).
        xy: Mean over j of k(x_i, y_j), (n,).
        yx: Mean over i of k(x_i, y_j), (m,).
        own: k(x_i, x_i) and k(y_j, y_j).
    """

    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray
    yx: np.ndarray
    own: tuple[np.ndarray, np.ndarray]

    @property
    def v(self) -> float:
        """MMD² over all pairs (V-statistic); 0 where it cannot be told from rounding."""
        within = float(self.xx.mean() / len(self.xx) + self.yy.mean() / len(self.yy))
        return kernels.above_rounding(within - 2 * float(self.xy.mean()), abs(within))

    @property
    def u(self) -> float:
        """MMD² without the pairs of a point with itself (U-statistic): unbiased."""
        f, g = self._within()
        return float(f.mean() + g.mean() - 2 * self.xy.mean())

    def linear(self, quantity: str, target: str, *, p: float) -> Linear:
        """The normal limit of the U-statistic."""
        f, g = self._within()
        f, g = 2 * (f - self.xy), 2 * (g - self.yx)
        return of_influence(self.u, f, g, quantity, target, p=p, unbiased=True)

    def _within(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean kernel to the other points of the own sample."""
        f, g = (
            (rows - own) / (len(rows) - 1)
            for rows, own in zip((self.xx, self.yy), self.own, strict=True)
        )
        return f, g


def energy_means(pair: SamplePair) -> Means:
    """Means of the kernel −d(x, y), in the units of x: MMD² is the squared energy distance."""
    x, y = (z.points.detach().double() for z in (pair.x, pair.y))
    one_x, one_y = torch.ones_like(x[:, 0]), torch.ones_like(y[:, 0])
    cost, unit = ground(pair, 1)
    between = cost.between(x, y)
    sums = (
        cost.between(x, x).apply(one_x),
        cost.between(y, y).apply(one_y),
        between.apply(one_y) / len(y),
        between.T.apply(one_x) / len(x),
    )
    zero = (np.zeros(len(x)), np.zeros(len(y)))
    return Means(*(_array(part) * -(pair.scale * unit) for part in sums), own=zero)


def kernel_means(pair: SamplePair, kernel: str, bandwidth: float | None = None) -> Means:
    """Means of a kernel of `mmd`, in memory O(n + m)."""
    x, y = (z.points.detach().double() for z in (pair.x, pair.y))
    xx, xy = kernels.row_sums(pair, kernel, bandwidth, x, (x, y))
    yy, yx = kernels.row_sums(pair, kernel, bandwidth, y, (y, x))
    own = kernels.own_values(pair, kernel, bandwidth)
    return Means(
        _array(xx), _array(yy), _array(xy) / len(y), _array(yx) / len(x),
        own=(_array(own[0]), _array(own[1])),
    )  # fmt: skip


def of_labellings(
    blocks: Iterable[tuple[slice, Tensor]],
    labels: np.ndarray,
    own: Tensor | None = None,
    mass: Tensor | None = None,
) -> np.ndarray:
    """MMD² for every labelling, from blocks of rows of K (N, N), without what is only rounding.

    Labellings whose values are equal but for rounding must tie: values are multiples of its size.

    Args:
        blocks: Rows of K, which are overwritten.
        labels: Shape (B, N), bool: which rows are x.
        own: The diagonal of K, (N,), where the pairs of a point with itself do not count.
        mass: Weights of the rows, (N,), where they differ; then all pairs count.
    """
    marks = torch.from_numpy(np.ascontiguousarray(labels.T)).double()
    every = torch.ones(len(marks), dtype=torch.float64) if mass is None else mass.cpu()
    marks *= every[:, None]
    n = marks.sum(0)
    m = every.sum() - n
    of_first = every * torch.where(marks[:, 0] > 0, 1 / n[0], 1 / m[0])
    within, crossed, total, scale = (torch.zeros(len(labels)).double() for _ in range(4))
    for part, k in blocks:
        marks = marks.to(k.device)
        within, crossed, total, scale = (t.to(k.device) for t in (within, crossed, total, scale))
        n, m, every, of_first = (t.to(k.device) for t in (n, m, every, of_first))
        rows, sums = k @ marks, k.sum(1) if mass is None else k @ every
        within += (marks[part] * rows).sum(0)
        crossed += sums @ marks[part]
        total += every[part] @ sums
        scale += of_first[part] @ (k.abs_() @ of_first)
        share_done(part.stop / len(marks))
    of_x, of_xy = within, crossed - within
    of_y = total - 2 * crossed + within
    if own is None:
        values = of_x / n**2 + of_y / m**2 - 2 * of_xy / (n * m)
    else:
        own_x = own.to(marks) @ marks
        values = (of_x - own_x) / (n * (n - 1)) + (of_y - (own.sum() - own_x)) / (m * (m - 1))
        values = values - 2 * of_xy / (n * m)
    step = float(scale[0]) * _ROUNDING * math.sqrt(len(marks))
    values = values.cpu().numpy()
    return np.round(values / step) * step if step > 0 else values


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
