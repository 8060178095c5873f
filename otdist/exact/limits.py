"""When a solver stops before the optimum, and what it hands over then: evidence and a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from otdist.core.result import Arcs

INTERRUPTED = (
    "interrupted; the bracket is what was proved until then, and start=result goes on from there"
)
LATE = (
    "max_seconds reached; the bracket is what was proved until then: give more time, go on from "
    "there by start=result, or ask for less by a larger rtol"
)
STOPPED = (INTERRUPTED, LATE)


def beyond(p: float) -> str:
    """How it ended where float64 cannot tell small costs apart."""
    return (
        f"costs at p = {p:g} span more than the digits of float64: the bracket is what was proved"
    )


@dataclass(frozen=True)
class Outcome:
    """What column generation found, as evidence to certify.

    Attributes:
        arcs: A feasible plan, optimal when `optimal`.
        g: Potential of the targets, float64, shape (m,).
        rounds: Restricted problems solved.
        optimal: Whether no pair violates beyond the resolution of the simplex.
        message: One sentence on how it ended.
    """

    arcs: Arcs
    g: Tensor
    rounds: int
    optimal: bool
    message: str


@dataclass(frozen=True)
class Limits:
    """When to stop before the optimum, and who is told of the progress.

    Attributes:
        rtol: Stop as soon as the bracket seems to prove this relative accuracy of the cost.
        deadline: Value of `time.perf_counter` at which to stop; passes over all pairs end then, a
            restricted problem does not.
        report: Called after each round with a line on its progress.
    """

    rtol: float = 0.0
    deadline: float = float("inf")
    report: Callable[[str], None] = field(default=lambda line: None)
