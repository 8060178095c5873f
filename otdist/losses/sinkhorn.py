"""SinkhornLoss: the debiased entropic divergence as a training signal."""

from __future__ import annotations

import warnings

import torch
import torch.distributed as dist
from torch import Tensor, nn

from otdist._threads import single_thread
from otdist.losses._batch import check_reduction, entries, prepare, reduce
from otdist.measure import check_p, pair
from otdist.result import ConvergenceWarning
from otdist.solvers import divergence
from otdist.solvers.sinkhorn import check_eps, check_stop, not_converged, scaled_eps
from otdist.task import of_pair


class SinkhornLoss(nn.Module):
    r"""S_eps between samples (or OT_eps without debiasing), with the envelope gradient.

    The value and its gradient are those of the converged problem, to the order of `tol`; no graph
    runs through the iterations, so that memory does not grow with their number.

    Args:
        p: Exponent of the ground cost; 1 ≤ p ≤ 2 when debiased.
        eps: Entropic strength in cost units (units of x to the power p). None takes 1% of the mean
            cost of each batch entry, as a constant for gradients.
        debias: Subtract the symmetric terms, which makes the loss 0 for equal samples.
        reduction: Of the leading dimensions: "mean", "sum" or "none".
        tol: L1 marginal error to stop at.
        max_iter: Steps allowed; above it a `ConvergenceWarning` is given.
        process_group: Compute the loss over the union of the samples of these ranks; gradients are
            scaled for DistributedDataParallel, whose average then equals the gradient of one
            process. ``torch.distributed.group.WORLD`` for all ranks; None for this process alone.

    Shapes:
        x (..., n, d), y (..., m, d), weights (n,) or (..., n), of sum one. The output is a scalar,
        or (...) without reduction; float32 for half-precision samples.

    Raises:
        ValueError: p out of range, eps or tol not positive and finite, max_iter below 1.

    Gradients: x, y, a, b, first order; a second derivative raises. 0 where the samples coincide.
    Cost: per batch entry, that of `sinkhorn_divergence`.
    Reference: Feydy et al. (2019), Interpolating between optimal transport and MMD.

    >>> x = torch.zeros(5, 2, requires_grad=True)
    >>> loss = SinkhornLoss(eps=0.1)(x, torch.ones(5, 2))
    >>> loss.backward()
    >>> round(loss.item(), 4), round(x.grad.sum().item(), 4)
    (2.0, -4.0)
    """

    def __init__(
        self,
        p: float = 2,
        eps: float | None = None,
        *,
        debias: bool = True,
        reduction: str = "mean",
        tol: float = 1e-3,
        max_iter: int = 2000,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        self.p = check_p(p)
        if debias and self.p > 2:
            raise ValueError(
                f"p must be at most 2 for a debiased loss, which can be negative above: got {p:g}; "
                "pass debias=False"
            )
        check_eps(eps)
        check_stop(tol, max_iter)
        self.eps = eps
        self.debias = debias
        self.reduction = check_reduction(reduction)
        self.tol = tol
        self.max_iter = max_iter
        self.process_group = process_group

    def forward(
        self, x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None
    ) -> Tensor:
        """S_eps of x (..., n, d) and y (..., m, d), reduced.

        Args:
            x: Samples.
            y: Samples.
            a: Weights of x, (n,) or (..., n), of sum one; uniform when None.
            b: Weights of y.
        """
        with torch.autocast(x.device.type if isinstance(x, Tensor) else "cpu", enabled=False):
            batch = prepare(x, y, a, b, self.process_group)
            values = [self._one(*entry) for entry in entries(batch)]
            costs = torch.stack(values).view(batch.x.shape[:-2]).to(batch.x.dtype)
        return reduce(costs, self.reduction)

    def _one(self, x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None) -> Tensor:
        measures = pair(x, y, a, b)
        task = of_pair(measures, self.p)
        with single_thread(task.numbers):
            value = divergence.objective(
                measures,
                self.p,
                scaled_eps(task, self.eps),
                tol=self.tol,
                max_iter=self.max_iter,
                debias=self.debias,
            )
        if not value.converged:
            message = not_converged(self.max_iter, value.error, self.tol)
            warnings.warn(message, ConvergenceWarning, stacklevel=3)
        return task.in_cost_units(value.cost)

    def extra_repr(self) -> str:
        """The options, as `print` shows a module."""
        eps = "1% of the mean cost" if self.eps is None else f"{self.eps:g}"
        return f"p={self.p:g}, eps={eps}, debias={self.debias}, reduction={self.reduction!r}"
