"""Costs of many small problems, held in full: what `scaling` asks of a cost, for a batch.

`Ground` has the points of a batch and the costs between them, Euclidean or of any metric, in units
in which no power overflows, and what a plan pulls at the points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from otdist.core.cost import LOG2E, exp2_
from otdist.core.metric import Metric, MetricCost
from otdist.entropic import rule


class DenseCosts:
    """Costs of each problem, shape (B, n, m); what `scaling` asks of a cost."""

    def __init__(self, costs: Tensor) -> None:
        self.costs = costs

    @classmethod
    def between(cls, x: Tensor, y: Tensor, p: float) -> DenseCosts:
        """‖x_i − y_j‖^p of points (B, n, d) and (B, m, d), centred and of moderate size."""
        if p == 2:
            norms = x.square().sum(-1)[:, :, None] + y.square().sum(-1)[:, None, :]
            return cls(torch.baddbmm(norms, x, y.mT, alpha=-2).clamp_(min=0))
        lengths = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
        return cls(lengths if p == 1 else lengths.pow_(p))

    @property
    def T(self) -> DenseCosts:
        return DenseCosts(self.costs.mT)

    def mean(self, a: Tensor, b: Tensor) -> Tensor:
        """Σ_ij a_i b_j c_ij, shape (B,), float64."""
        rows = torch.bmm(self.costs, b[..., None].to(self.costs.dtype))[..., 0]
        return (rows.double() * a).sum(-1)

    def reach(self, a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
        """That of `rule.reach`, for each problem; scales (B,), shape (B, m)."""
        rows, columns = (
            torch.bmm(c, w[..., None].to(c.dtype))[..., 0]
            for c, w in ((self.costs, b), (self.costs.mT, a))
        )
        below = (rows[..., None] - self.costs).amax(1)
        return rule.of_bounds(torch.maximum(columns, below).double(), scale[:, None])

    def softmin(self, h: Tensor, eps: Tensor) -> Tensor:
        """−eps · log Σ_j exp((h_j − c_ij)/eps), shape (B, n)."""
        exponents = (h[:, None, :] - self.costs) / eps[..., None]
        return -eps * exponents.logsumexp(-1)

    def kernel(self, f: Tensor | None, h: Tensor, eps: Tensor, out: Tensor) -> Tensor:
        """Write exp((f_i + h_j − c_ij)/eps); f None makes the largest entry of each row one."""
        unit = (LOG2E / eps)[..., None].to(out.dtype)
        torch.mul(self.costs, -unit, out=out)
        out.add_((h.to(out.dtype) * unit[..., 0])[:, None, :])
        if f is None:
            f = -out.amax(-1).double() * eps / LOG2E
        exp2_(out.add_(f.to(out.dtype)[..., None] * unit))
        return f


@dataclass(frozen=True)
class Ground:
    """Both samples of each problem, (B, n, d) and (B, m, d), and the costs between them.

    Attributes:
        points: Euclidean points in units of the scale, or mapped points of the metric.
        p: Exponent of the distance.
        scale: Of distances, in the caller's units, (B,), float64: costs are in units of scale^p.
        metric: None is Euclidean.
    """

    points: tuple[Tensor, Tensor]
    p: float
    scale: Tensor
    metric: Metric | None = None

    @classmethod
    def of(cls, x: Tensor, y: Tensor, p: float, metric: Metric | None) -> Ground:
        """Points in units of a power of two near the largest norm, or that of the distances."""
        if metric is None:
            scale = _power(torch.maximum(*(z.norm(dim=-1).amax(-1) for z in (x, y))))
            units = scale[:, None, None]
            return cls((x / units.to(x.dtype), y / units.to(y.dtype)), p, scale)
        largest = [float(metric.block(u, v).max()) for u, v in zip(x, y, strict=True)]
        top = torch.tensor(largest, dtype=torch.float64, device=x.device)
        return cls((x, y), p, _power(top) * metric.factor, metric)

    @property
    def dtype(self) -> torch.dtype:
        """Of the points."""
        return self.points[0].dtype

    def double(self) -> Ground:
        """The same in float64."""
        x, y = self.points
        return replace(self, points=(x.double(), y.double()))

    def costs(self, first: int, second: int) -> DenseCosts:
        """Costs between two samples, 0 for x and 1 for y, or of one against itself."""
        if self.metric is None:
            return DenseCosts.between(self.points[first], self.points[second], self.p)
        each = [cost.rows(0, cost.shape[0]) for cost in self._metric_costs(first, second)]
        return DenseCosts(torch.stack(each))

    def pull(self, costs: Tensor, plan: Tensor, first: int, second: int) -> Tensor:
        """Σ_j P_ij ∇_x of the costs, in the caller's or the mapped points, (B, n, d).

        0 where points coincide. Overwrites the plan.
        """
        if self.metric is not None:
            pairs = zip(self._metric_costs(first, second), costs, plan, strict=True)
            return torch.stack([cost.force(slice(0, len(c)), c, part) for cost, c, part in pairs])
        if self.p != 2:
            slope = costs.pow((self.p - 2) / self.p)
            plan.mul_(torch.where(costs > 0, slope, 0.0))
        x, y = self.points[first], self.points[second]
        pulled = self.p * (plan.sum(-1, keepdim=True) * x - torch.bmm(plan, y))
        return pulled / self.scale[:, None, None]

    def _metric_costs(self, first: int, second: int) -> list[MetricCost]:
        assert self.metric is not None
        units = (self.scale / self.metric.factor).tolist()
        pairs = zip(self.points[first], self.points[second], units, strict=True)
        return [MetricCost(self.metric, x, y, self.p, unit) for x, y, unit in pairs]


def _power(sizes: Tensor) -> Tensor:
    """The largest powers of two not above positive sizes, float64; one for those that are zero."""
    sizes = sizes.double()
    return torch.exp2(torch.where(sizes > 0, sizes, 1.0).log2().floor())
