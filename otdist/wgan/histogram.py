"""`WassersteinDivergence`: W_1 between histograms, and how losses over a batch are reduced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from otdist.core import checks
from otdist.core.arrays import as_tensor

Reduction = Literal["sum_over_batch_size", "mean", "sum", "none"] | None
_REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "none")


def check_reduction(reduction: Any) -> Reduction:
    """The reduction, if it is known."""
    return checks.optional(checks.choice, "reduction", reduction, allowed=_REDUCTIONS)


def check_name(name: Any, loss: nn.Module) -> str:
    """The name of a loss; that of its class when None."""
    return type(loss).__name__ if name is None else checks.instance("name", name, str, "text")


class WassersteinDivergence(nn.Module):
    r"""W_1 between histograms over an ordered support: $\sum_k |F_k - G_k|\,(s_{k+1} - s_k)$.

    Guides take the *mean* of |F − G|, which is W_1 only up to a factor and only on an evenly
    spaced support. This takes the support or its spacing, and answers in its units. For samples
    of points use `otdist.losses` or `otdist.wasserstein`.

    Args:
        smooth_eps: The smallest total mass that is normalised; less raises. (Adding it to every
            bin, as guides do, would only multiply W_1 by 1 / (1 + bins · smooth_eps).)
        reduction: Over the histograms of a batch: "sum_over_batch_size", which torch calls "mean",
            "sum", "none" or None.
        name: Kept as an attribute.
        support: Increasing positions of the bins, shape (k,).
        spacing: Distance between neighbouring bins, instead of a support; 1 when neither is given.

    >>> near, far = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])
    >>> WassersteinDivergence()(near, far)
    tensor(2.)
    >>> WassersteinDivergence(support=[0.0, 1.0, 5.0])(near, far)
    tensor(5.)
    """

    def __init__(
        self,
        smooth_eps: float = 1e-7,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = None,
        *,
        support: Tensor | Sequence[float] | None = None,
        spacing: float | None = None,
    ) -> None:
        super().__init__()
        if support is not None and spacing is not None:
            raise ValueError("give support or spacing, not both")
        self.smooth_eps = checks.number("smooth_eps", smooth_eps, least=0)
        self.reduction, self.name = check_reduction(reduction), check_name(name, self)
        self.spacing = 1.0 if spacing is None else checks.positive("spacing", spacing)
        steps = None if support is None else _steps(as_tensor(support, "support").double())
        self.steps: Tensor | None
        self.register_buffer("steps", steps, persistent=False)

    def forward(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """W_1 between histograms of shape (…, k); non-negative masses, normalised here."""
        if y_true.shape != y_pred.shape or y_true.dim() == 0:
            raise ValueError(
                "y_true and y_pred must be histograms of one shape (…, k): "
                f"got {tuple(y_true.shape)} and {tuple(y_pred.shape)}"
            )
        first, second = self._normalised(y_true, "y_true"), self._normalised(y_pred, "y_pred")
        gaps = (first - second).cumsum(-1)[..., :-1].abs()
        if self.steps is None:
            distances = gaps.sum(-1) * self.spacing
        elif len(self.steps) != gaps.shape[-1]:
            raise ValueError(
                f"support has {len(self.steps) + 1} bins, the histograms {gaps.shape[-1] + 1}"
            )
        else:
            distances = (gaps * self.steps.to(gaps)).sum(-1)
        if self.reduction in ("none", None):
            return distances
        return distances.sum() if self.reduction == "sum" else distances.mean()

    def _normalised(self, mass: Tensor, name: str) -> Tensor:
        mass = mass.to(torch.promote_types(mass.dtype, torch.float32))
        if not mass.is_meta and not bool((mass >= 0).all()):
            raise ValueError(f"{name} must hold non-negative masses")
        total = mass.sum(-1, keepdim=True)
        if not mass.is_meta and not bool(((total > self.smooth_eps) & total.isfinite()).all()):
            raise ValueError(
                f"{name} must hold finite histograms of mass above {self.smooth_eps}: "
                f"the least is {float(total.detach().min()):g}"
            )
        return mass / total


def _steps(support: Tensor) -> Tensor:
    """Distances between neighbouring bins, (k − 1,)."""
    if support.dim() != 1 or not bool(
        ((steps := support.diff()) > 0).all() & support.isfinite().all()
    ):
        raise ValueError("support must be a 1-D array of increasing finite positions")
    return steps
