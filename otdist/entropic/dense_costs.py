"""Costs of many small problems, held in full: what `scaling` asks of a cost, for a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from otdist.core.cost import LOG2E, exp2_
from otdist.entropic import rule


class DenseCosts:
    """‖x_i − y_j‖^p of each problem, shape (B, n, m); what `scaling` asks of a cost."""

    def __init__(self, costs: Tensor) -> None:
        self.costs = costs

    @classmethod
    def between(cls, x: Tensor, y: Tensor, p: float) -> DenseCosts:
        """Costs of points (B, n, d) and (B, m, d), centred and of moderate size."""
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
