"""Which method serves which size, when a solver stops, and what it hands over then."""

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
        f: Potential of the sources that goes with g, shape (n,), where one is known.
    """

    arcs: Arcs
    g: Tensor
    rounds: int
    optimal: bool
    message: str
    f: Tensor | None = None


@dataclass(frozen=True)
class Sizes:
    """From which size on a method is used, and how much it begins with.

    Attributes:
        matrix_pairs: Up to so many pairs, in the plane fewer, all costs are kept; above, column
            generation finds those that matter.
        rescued_pairs: Up to so many pairs a matrix is made where costs span more digits than one
            unit has.
        nearest: Arcs per point that column generation begins with. Four problems of 2,500 points
            (normal clouds of different means and spreads, d = 2 and 10, p = 1 and 2) take 1.9 s; 6
            arcs 2.1, 24 arcs 2.2.
        coarse_from: Points of either side from which a plan between cells saves time.
        first_level: Depth of the tree whose cells are solved first, at least: 4,096 cells.
        cell_points: Points of those cells, at most, as far as the tree is deep. Of 10^6 points in
            the plane, plans between 16,384 cells cost 0.2% more than the best, after a second;
            those between 1,024 cells 3% more, and 2% after a minute of sweeps.
        share: Times the accuracy: spread of cells that two sweeps over blocks make up for.
    """

    matrix_pairs: int = 1200 * 1200
    rescued_pairs: int = 2**24
    nearest: int = 12
    coarse_from: int = 2**14
    first_level: int = 12
    cell_points: int = 64
    share: float = 2.0


USUAL = Sizes()


@dataclass(frozen=True)
class Limits:
    """When to stop before the optimum, from which sizes on, and who is told of the progress.

    Attributes:
        rtol: Stop as soon as the bracket seems to prove this relative accuracy of the cost.
        deadline: Value of `time.perf_counter` at which to stop; passes over all pairs end then, a
            restricted problem does not.
        report: Called after each round with a line on its progress.
        sizes: Which methods are used.
    """

    rtol: float = 0.0
    deadline: float = float("inf")
    report: Callable[[str], None] = field(default=lambda line: None)
    sizes: Sizes = USUAL
