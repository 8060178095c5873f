"""SlicedWassersteinLoss: SW_p^p with fresh random directions at every call."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from otdist.core import checks
from otdist.core.modes import full_precision
from otdist.core.threads import threads_for
from otdist.losses._batch import REDUCTIONS, check_group, from_first, prepare, reduce
from otdist.sliced.sliced import given
from otdist.sliced.slices import mean_slice_cost


class SlicedWassersteinLoss(nn.Module):
    r"""SW_p^p between samples, averaged over random directions: a fast training signal.

    An unbiased estimate of :math:`E_θ W_p^p(⟨θ, x⟩, ⟨θ, y⟩)` with the exact gradient of that
    estimate. Directions are drawn in blocks of orthonormal rows, which lowers their variance.

    Args:
        p: Exponent, ≥ 1.
        n_projections: Directions per call.
        generator: Source of the directions; None means torch's default generator.
        reduction: Of the leading dimensions: "mean", "sum" or "none".
        process_group: Compute the loss over the union of the samples of these ranks, with
            directions from its rank 0; gradients are scaled for DistributedDataParallel, whose
            average then equals the gradient of one process. ``torch.distributed.group.WORLD`` for
            all ranks; None for this process alone.

    Shapes:
        x (..., n, d), y (..., m, d), weights (n,) or (..., n), of sum one. The output is a scalar,
        or (...) without reduction; float32 for half-precision samples. NaN and infinity in a sample
        make its loss NaN, as a gradient scaler expects.

    Gradients: x, y, a, b, first order, computed along with the value; a second derivative raises.
        0 where the samples coincide.
    Cost: O(B L (n + m) (d + log(n + m))); memory one block of projections and the gradients.
    Reference: Bonneel et al. (2015); Deshpande, Zhang, Schwing (2018), Generative modeling using
        the sliced Wasserstein distance.

    >>> x = torch.zeros(5, 2, requires_grad=True)
    >>> loss = SlicedWassersteinLoss(n_projections=50)(x, torch.ones(5, 2))
    >>> loss.backward()
    >>> x.grad.shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        p: float = 2,
        n_projections: int = 128,
        *,
        generator: torch.Generator | None = None,
        reduction: str = "mean",
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        if generator is not None:
            checks.instance("generator", generator, torch.Generator, "a torch.Generator or None")
        self.p = checks.exponent(p)
        self.n_projections = checks.whole("n_projections", n_projections)
        self.generator = generator
        self.reduction = checks.choice("reduction", reduction, REDUCTIONS)
        self.process_group = check_group(process_group)

    @full_precision()
    def forward(
        self,
        x: Tensor,
        y: Tensor,
        a: Tensor | None = None,
        b: Tensor | None = None,
        *,
        directions: Tensor | None = None,
    ) -> Tensor:
        """SW_p^p of x (..., n, d) and y (..., m, d), reduced.

        Args:
            x: Samples.
            y: Samples.
            a: Weights of x, (n,) or (..., n), of sum one; uniform when None.
            b: Weights of y.
            directions: Unit rows (L, d), a tensor or an array, to use instead of fresh ones.
        """
        batch = prepare(x, y, a, b, self.process_group)
        d, rows, count = batch.x.shape[-1], None, self.n_projections
        if directions is not None:
            rows = torch.from_numpy(given(directions, d).rows).to(batch.x)
            count = len(rows)
        points = (batch.x.numel() + batch.y.numel()) // d
        # Around the draw, too: a thread that was sent to sleep wakes up late on a busy machine.
        with threads_for(points * count):
            rows = self._draw(d, batch.x) if rows is None else rows
            costs, _ = mean_slice_cost(batch.x, batch.y, rows, self.p, batch.a, batch.b)
            return reduce(costs, self.reduction)

    def _draw(self, d: int, like: Tensor) -> Tensor:
        """Fresh directions (L, d): as many full orthonormal bases as fit, and part of another."""
        device = like.device if self.generator is None else self.generator.device
        blocks = -(-self.n_projections // d)
        rows = min(d, self.n_projections)
        normal = torch.randn(
            blocks, d, rows, generator=self.generator, device=device, dtype=like.dtype
        )
        q, r = torch.linalg.qr(normal)
        # Signs from R make Q uniform over rotations.
        q = q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None, :]
        directions = q.mT.reshape(-1, d)[: self.n_projections].to(like.device).contiguous()
        return from_first(directions, self.process_group)

    def extra_repr(self) -> str:
        """The options, as `print` shows a module."""
        return f"p={self.p:g}, n_projections={self.n_projections}, reduction={self.reduction!r}"
