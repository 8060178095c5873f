"""ExactLoss: exact transport between mini-batches as a training signal."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from otdist import metrics
from otdist.batches.together import together
from otdist.core import checks
from otdist.core.modes import full_precision
from otdist.discrepancy.wasserstein import Wasserstein
from otdist.losses._batch import REDUCTIONS, check_group, one_by_one, prepare, reduce, shown
from otdist.unbalanced.functions import mass_or_reach, of_samples, partly

_KL_RTOL = 1e-3


class ExactLoss(nn.Module):
    r"""W_p^p between samples, exact, with the gradient of the envelope theorem.

    Args:
        p: Exponent, at least 1.
        metric: Ground distance, as for `otdist.wasserstein`; Euclidean by default.
        mass: Move this mass only, the cheapest way, as `otdist.partial_wasserstein`; or
        reach: let mass be created or destroyed at the price reach^p a unit, as
            `otdist.unbalanced_wasserstein`. With either, weights are masses of any positive sum.
        penalty: Of `reach`: "tv" as said, exact; or "kl", Kullback–Leibler, to a proved 0.1%.
        reduction: Of the leading dimensions: "mean", "sum" or "none".
        process_group: Compute the loss over the union of the samples of these ranks; gradients are
            scaled for DistributedDataParallel, whose average then equals the gradient of one
            process. None for this process alone.

    Shapes:
        x (..., n, d), y (..., m, d), weights (n,) or (..., n), of sum one. The output is a scalar,
        or (...) without reduction; float32 for half-precision samples.

    Raises:
        ValueError: p below 1, an unknown reduction, both mass and reach, a mass above
            the sums of weights; shapes, dtypes or weights that do not fit.

    Gradients: x, y, a, b, first order; a subgradient where the plan or the duals are not unique, 0
        where the samples coincide. A second derivative raises.
    Cost: per batch entry, that of `wasserstein`: the network simplex on the CPU, so that CUDA
        samples are copied there. For large batches of points prefer SlicedWassersteinLoss.
    Reference: Fatras et al. (2020), Learning with minibatch Wasserstein.

    >>> x = torch.zeros(4, 2, requires_grad=True)
    >>> loss = ExactLoss()(x, torch.ones(4, 2))
    >>> loss.backward()
    >>> round(loss.item(), 4), round(x.grad.sum().item(), 4)
    (2.0, -4.0)
    """

    def __init__(
        self,
        p: float = 2,
        *,
        metric: Any = "euclidean",
        mass: float | None = None,
        reach: float | None = None,
        penalty: str = "tv",
        reduction: str = "mean",
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        self.p, self.metric = checks.exponent(p), metrics.named(metric)
        self.mass, self.reach = mass_or_reach(mass, reach, penalty)
        self.penalty = penalty
        self.reduction = checks.choice("reduction", reduction, REDUCTIONS)
        self.process_group = check_group(process_group)

    @full_precision()
    def forward(
        self, x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None
    ) -> Tensor:
        """W_p^p of x (..., n, d) and y (..., m, d), reduced.

        Args:
            x: Samples.
            y: Samples.
            a: Weights of x, (n,) or (..., n), of sum one; uniform when None.
            b: Weights of y.
        """
        plain = self.metric is None
        batch = prepare(x, y, a, b, self.process_group, centre=plain, masses=self._partly)
        if not self._partly:
            return reduce(
                together(Wasserstein(self.p, metric=self.metric), batch).cost, self.reduction
            )
        values = torch.stack(one_by_one(self._one, batch)).view(batch.x.shape[:-2])
        return reduce(values, self.reduction)

    @property
    def _partly(self) -> bool:
        """Whether mass may stay."""
        return self.mass is not None or self.reach is not None

    def _one(self, x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None) -> Tensor:
        job = of_samples(x, y, a, b, self.p, self.metric)
        options = {"mass": self.mass, "reach": self.reach, "penalty": self.penalty}
        return partly(job, rtol=_KL_RTOL if self.penalty == "kl" else None, **options).cost

    def extra_repr(self) -> str:
        """The options, as `print` shows a module."""
        partly = {"mass": self.mass, "reach": self.reach}
        words = "".join(f"{name}={v:g}, " for name, v in partly.items() if v is not None)
        words += "penalty='kl', " if self.penalty == "kl" else ""
        return f"p={self.p:g}, {shown(self.metric)}{words}reduction={self.reduction!r}"
