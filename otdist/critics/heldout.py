"""What held-out points say: the estimate and the limit of critics that have not seen them.

One critic is scored on one test part. With folds there are K of each: the critic of a fold is
scored on that fold, and `limits` says how far the errors of two folds may depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from otdist.core.measure import SamplePair
from otdist.critics.limits import CONFIDENCE, limit_of_folds
from otdist.critics.samples import Supply

COMPARED = 1000
"""Points of either sample of a fold on which the critics of two folds are compared."""


@dataclass(frozen=True)
class Scores:
    """Scores of two samples; the difference of their means is expected to be at most W_p^p.

    Attributes:
        x: Of the first sample, shape (n,), float64, in units of the critic's frame to the power p.
        y: Of the second, shape (m,).
        charge: How far rounding may have moved a score.
        sound: Whether the scores are larger than their rounding.
    """

    x: Tensor
    y: Tensor
    charge: float
    sound: bool

    def times(self, factor: float) -> Scores:
        """The scores in other units."""
        return replace(self, x=self.x * factor, y=self.y * factor, charge=self.charge * factor)


@dataclass(frozen=True)
class Learned:
    """A critic that was trained and chosen on the points of one supply.

    Attributes:
        critic: The module, in float64, on points of the supply's frame.
        supply: Of its points.
        history: One record per validation, of all critics that were trained.
        chosen: Those of this critic.
        score: Scores of the two samples of a pair, or of their first points.
        fields: What the result says of the critic.
        unproved: Why its scores prove nothing about distributions, if so.
    """

    critic: nn.Module
    supply: Supply
    history: list[dict[str, Any]]
    chosen: list[dict[str, Any]]
    score: Callable[[SamplePair, int | None], Scores]
    fields: dict[str, Any] = field(default_factory=dict)
    unproved: str = ""


def said(learned: Sequence[Learned], p: float) -> dict[str, Any]:
    """Fields of a result: of the first critic, and of what all say on their test parts.

    Args:
        learned: One critic, or those of all folds.
        p: Exponent.
    """
    first = learned[0]
    unit, test = first.supply.frame.scale, first.supply.test
    folds = [one.score(one.supply.test, None).times(_factor(one, unit, p)) for one in learned]
    value = sum(_gap(told, one.supply.test) for told, one in zip(folds, learned, strict=True))
    value /= len(learned)
    lower, message = None, first.unproved
    if not all(bool(s.isfinite().all()) for told in folds for s in (told.x, told.y)):
        message = "the scores are not finite"
    elif not message and not (test.x.uniform and test.y.uniform):
        message = "no confidence limit: it needs independent points of equal weight"
    elif not message:
        charged = [(told.x - told.charge, told.y + told.charge) for told in folds]
        limit = limit_of_folds(charged, _shared(learned, unit, p))[1]
        lower = limit ** (1 / p) * unit
        message = (
            f"W_{p:g} between the distributions is at least {lower:.5g} with {CONFIDENCE:.0%} "
            "confidence"
        )
    if first.supply.ended:
        message += "; a stream ended before training did"
    converged = all(
        told.sound and _found(one.chosen) for told, one in zip(folds, learned, strict=True)
    )
    if not converged:
        message = f"training diverged: try a lower learning_rate; {message}"
    return {
        "estimate": (value if p == 1 else max(0.0, value) ** (1 / p)) * unit,
        "lower": lower,
        "message": message,
        "converged": converged,
        "history": _history(learned),
        "frame": first.supply.frame,
        "samples": first.supply.whole,
        "held_out": test,
        **first.fields,
    }


def _shared(learned: Sequence[Learned], unit: float, p: float) -> list[list[float]]:
    """The v_kl of `limits`: how the critics of two folds differ on points of the first."""
    if len(learned) == 1:
        return []
    found = []
    for at, one in enumerate(learned):
        part = one.supply.test
        n, m = len(part.x), len(part.y)
        all_scores = [
            other.score(part, COMPARED).times(_factor(other, unit, p)) for other in learned
        ]
        own = all_scores[at]
        found.append(
            [
                float((own.x - told.x).var() / n + (own.y - told.y).var() / m) / 2
                for told in all_scores
            ]
        )
    return found


def _history(learned: Sequence[Learned]) -> list[dict[str, Any]]:
    """Records of all critics; of folds, each says which."""
    if len(learned) == 1:
        return learned[0].history
    return [{"fold": k, **record} for k, one in enumerate(learned) for record in one.history]


def _factor(one: Learned, unit: float, p: float) -> float:
    """From units of a critic's frame to `unit`, to the power p."""
    return (one.supply.frame.scale / unit) ** p


def _gap(told: Scores, test: SamplePair) -> float:
    return float(test.x.weights @ told.x - test.y.weights @ told.y)


def _found(chosen: list[dict[str, Any]]) -> bool:
    """Whether a validation after the start found a sound critic; where there is none, it is so."""
    seen = [record["validation"] for record in chosen if record["step"] > 0]
    return not seen or any(math.isfinite(value) for value in seen)
