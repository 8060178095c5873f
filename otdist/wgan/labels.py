"""Labelled scores: one label per sample or per score, and losses with one mean per label."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.arrays import as_tensor


def as_scores(y_pred: Any) -> Tensor:
    """Scores with the batch as their first axis, in float32 or better."""
    scores = _tensor(y_pred, "y_pred")
    if scores.dim() == 0 or scores.numel() == 0:
        raise ValueError(
            f"y_pred must hold scores with the batch as its first axis: got shape "
            f"{tuple(scores.shape)}"
        )
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def _tensor(values: Any, name: str) -> Tensor:
    """A tensor; one without data, as frameworks pass to learn of shapes, as it is."""
    return values if isinstance(values, Tensor) and values.is_meta else as_tensor(values, name)


def per_score(values: Any, scores: Tensor, name: str, what: str) -> Tensor:
    """Values of samples or of scores, in the shape of the scores."""
    found = _tensor(values, name).to(scores.device)
    if found.shape == scores.shape:
        return found
    if found.numel() != len(scores):
        raise ValueError(
            f"{name} must hold one {what} per sample, or one per score of shape "
            f"{tuple(scores.shape)}: got shape {tuple(found.shape)}"
        )
    return found.reshape(-1, *[1] * (scores.dim() - 1)).expand(scores.shape)


def real_labels(y_true: Any, scores: Tensor) -> Tensor:
    """Boolean labels in the shape of the scores: True where real."""
    labels = per_score(y_true, scores, "y_true", "label")
    real = labels == 1
    known = real | (labels == 0)
    if not scores.is_meta and not bool(known.all()):
        wrong = labels[~known].flatten()[0].item()
        raise ValueError(f"labels must be 1 (real) or 0 (generated): found {wrong}")
    return real


def labelled_loss(
    scores: Tensor,
    real: Tensor,
    for_critic: bool,
    reduction: str | None,
    weights: Tensor | None = None,
    counted: Tensor | None = None,
) -> Tensor:
    """The critic's or the generator's loss of labelled scores, with one mean per label.

    Args:
        scores: Shape (n, …).
        real: Labels of that shape.
        for_critic: Otherwise the generator's loss, which real samples do not enter.
        reduction: "none" or None, "sum", "mean_with_sample_weight", which divides by the weights
            of each label, or any other: divide by the number of its scores.
        weights: Of the scores, in their shape; all 1 by default.
        counted: Where False, the score is left out altogether.
    """
    on_real, on_fake = (-1.0, 1.0) if for_critic else (0.0, -1.0)
    terms = scores * torch.where(real, on_real, on_fake).to(scores.dtype)
    ones = torch.ones_like(scores) if counted is None else counted.to(scores.dtype)
    weights = ones if weights is None else ones * weights.to(scores.dtype)
    if counted is not None or weights is not ones:
        terms = torch.where(weights == 0, torch.zeros_like(terms), terms * weights)
    if reduction in ("none", None):
        return terms
    if reduction == "sum":
        return terms.sum()
    share = weights if reduction == "mean_with_sample_weight" else ones
    share = torch.where(real, (share * real).sum(), (share * ~real).sum())
    return (terms / share.masked_fill(share == 0, 1.0)).sum()


def refuse_penalty(lambda_gp: Any) -> None:
    """Raise where a weight of the penalty is given for losses that have none.

    Raises:
        TypeError, ValueError: any value but the default of the guides, 10.
    """
    if checks.number("lambda_gp", lambda_gp, least=0) != 10.0:
        raise ValueError(
            f"plain WGAN losses have no penalty, so lambda_gp={lambda_gp} would be ignored: "
            "use create_wgan_gp_losses"
        )
