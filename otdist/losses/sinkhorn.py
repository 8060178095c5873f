"""SinkhornLoss: the debiased entropic divergence as a training signal."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from otdist import metrics
from otdist.core import checks
from otdist.core.absent import shared_out
from otdist.core.measure import pair
from otdist.core.metric import check_negative_type
from otdist.core.modes import full_precision
from otdist.core.result import warn_caller
from otdist.core.task import of_pair
from otdist.core.threads import threads_for
from otdist.entropic import divergence, entropic_batch, newton
from otdist.entropic.answer import Rule
from otdist.entropic.entropic import NO_MASS, PLAIN_STEPS
from otdist.entropic.sinkhorn import not_converged
from otdist.losses._batch import (
    REDUCTIONS,
    Batch,
    check_debiased,
    check_group,
    flat_weights,
    one_by_one,
    prepare,
    reduce,
    shown,
)


class SinkhornLoss(nn.Module):
    r"""S_eps between samples (or OT_eps without debiasing), with the envelope gradient.

    The value and its gradient are those of the converged problem, to the order of `tol`; no graph
    runs through the iterations, so that memory does not grow with their number.

    Args:
        p: Exponent of the ground cost; 1 ≤ p ≤ 2 when debiased.
        metric: Ground distance, as for `otdist.wasserstein`; Euclidean by default. Debiased, its
            power p must be of negative type (see `otdist.sinkhorn_divergence`), so that p = 1 for
            most.
        eps: Entropic strength in cost units (units of x to the power p). None takes 1% of the mean
            cost of each batch entry, as a constant for gradients.
        debias: Subtract the symmetric terms, which makes the loss 0 for equal samples.
        reach: Let mass stay, for penalties reach^p KL of the marginals; weights are then masses of
            any positive sum. None moves all of it.
        reduction: Of the leading dimensions: "mean", "sum" or "none".
        tol: Error to stop at, as for `sinkhorn_divergence`.
        max_iter: Steps allowed; above it a `ConvergenceWarning` is given.
        process_group: Compute the loss over the union of the samples of these ranks; gradients are
            scaled for DistributedDataParallel, whose average then equals the gradient of one
            process. ``torch.distributed.group.WORLD`` for all ranks; None for this process alone.

    Shapes:
        x (..., n, d), y (..., m, d), weights (n,) or (..., n), of sum one unless `reach` is given.
        The output is a scalar,
        or (...) without reduction; float32 for half-precision samples.

    Raises:
        ValueError: p out of range, eps or tol not positive and finite, max_iter below 1.

    Gradients: x, y, a, b, first order; a second derivative raises. 0 where the samples coincide.
    Cost: per batch entry, that of `sinkhorn_divergence`; entries of up to 512 × 512 points are
        solved together, dense.
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
        metric: Any = "euclidean",
        debias: bool = True,
        reach: float | None = None,
        reduction: str = "mean",
        tol: float = 1e-3,
        max_iter: int = 2000,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        self.p, self.debias = check_debiased(p, debias)
        self.metric = metrics.named(metric)
        rule = Rule(eps, tol, max_iter, reach)
        self.eps, self.tol, self.max_iter, self.reach = astuple(rule)
        self.reduction = checks.choice("reduction", reduction, REDUCTIONS)
        self.process_group = check_group(process_group)

    @property
    def _rule(self) -> Rule:
        return Rule(self.eps, self.tol, self.max_iter, self.reach)

    @full_precision()
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
        masses, plain = self.reach is not None, self.metric is None
        batch = prepare(x, y, a, b, self.process_group, centre=plain, masses=masses)
        shape, work = batch.x.shape[:-2], batch.x.dtype
        values = self._together(batch) or one_by_one(self._one, batch)
        costs = torch.cat([v.reshape(-1) for v in values]).view(shape).to(work)
        return reduce(costs, self.reduction)

    def _together(self, batch: Batch) -> list[Tensor]:
        """Values of small problems, piece by piece; none where they must be solved one by one."""
        (x, a), (y, b) = shared_out(batch.x, batch.a), shared_out(batch.y, batch.b)
        a, b = flat_weights(Batch(x, y, a, b))
        x, y = (z.reshape(-1, *z.shape[-2:]) for z in (x, y))
        n, m = x.shape[1], y.shape[1]
        fits = len(x) > 1 and n * m <= entropic_batch.LARGEST
        with torch.no_grad():
            # Points that are not finite are what one problem at a time is for, and weights of zero
            # whose gradients are asked for.
            fits = fits and all(bool(z.isfinite().all()) for z in (x, y))
            fits = fits and all(bool(((w > NO_MASS) & w.isfinite()).all()) for w in (a, b))
        if not fits:
            return []
        points = self._mapped(x, y)
        if points is None:
            return []
        # Few points that do not converge soon are finished alone, where Newton's method can.
        few = max(n, m) <= newton.LARGEST
        limit = min(self.max_iter, PLAIN_STEPS) if few else self.max_iter
        rule = self.eps, self.tol, limit, self.debias, self.reach, self.metric
        objective = entropic_batch.Objective(self.p, *rule)
        step = max(1, entropic_batch.ENTRIES // max(n, m) ** 2)
        values, left = [], []
        for lo in range(0, len(x), step):
            part = slice(lo, lo + step)
            with threads_for(len(x[part]) * max(n, m) ** 2):
                value = objective.values(*(z[part] for z in (*points, a, b)))
            values.append(value.cost)
            if few and not value.converged:
                left.extend(range(lo, lo + len(value.cost)))
            else:
                self._check(value)
        if not left:
            return values
        values = [entry for piece in values for entry in piece]
        for place, found in zip(left, one_by_one(self._one, batch, left), strict=True):
            values[place] = found
        return values

    def _mapped(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor] | None:
        """Points (B, n, d) and (B, m, d) as the metric maps them; None where it refuses some.

        One problem at a time says which of them.
        """
        if self.metric is None:
            return x, y
        try:
            u, v, _ = self.metric.enter_both(x.flatten(0, 1), y.flatten(0, 1))
            if self.debias:
                check_negative_type(self.metric, u.shape[1], self.p, "a debiased loss")
        except ValueError:
            return None
        return u.unflatten(0, x.shape[:2]), v.unflatten(0, y.shape[:2])

    def _one(self, x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None) -> Tensor:
        masses = self.reach is not None
        measures = pair(x, y, a, b, p=self.p, metric=self.metric, masses=masses)
        if self.debias:
            check_negative_type(self.metric, measures.x.points.shape[1], self.p, "a debiased loss")
        task = of_pair(measures, self.p)
        with threads_for(task.numbers):
            value, _ = self._rule.solve(measures, task, debias=self.debias)
        self._check(value)
        return task.in_cost_units(value.cost)

    def _check(self, value: divergence.Value | entropic_batch.Values) -> None:
        if not value.converged:
            message = not_converged(self.max_iter, value.error, self.tol)
            warn_caller(message)

    def extra_repr(self) -> str:
        """The options, as `print` shows a module."""
        eps = "1% of the mean cost" if self.eps is None else f"{self.eps:g}"
        reach = "" if self.reach is None else f"reach={self.reach:g}, "
        kind = f"p={self.p:g}, {shown(self.metric)}eps={eps}, {reach}debias={self.debias}"
        return f"{kind}, reduction={self.reduction!r}"
