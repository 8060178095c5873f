"""How long a run takes: an estimate from what cases took before, and what is left of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence

from benchmarks.case import Case
from benchmarks.records import Row

UNKNOWN = 5.0
"""Seconds of a case whose suite nobody has measured."""


class Pace:
    """Seconds left of a run, corrected by what its cases have taken so far.

    Args:
        cases: Those still to be run, with their suites.
        known: Rows of earlier runs, with the seconds of their cases as "wall".
    """

    def __init__(self, cases: Sequence[tuple[str, Case]], known: Iterable[Row]) -> None:
        walls = {(row["suite"], row["case"]): row["wall"] for row in known if "wall" in row}
        self._expected = [
            walls.get((suite, case.key), _usual(suite, walls)) for suite, case in cases
        ]
        self._begun, self._done = time.monotonic(), 0

    @property
    def spent(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begun

    def next(self) -> None:
        """One more case is done."""
        self._done += 1

    def left(self) -> float:
        """Seconds that the rest may take: what was expected, times how wrong that was so far."""
        past, rest = sum(self._expected[: self._done]), sum(self._expected[self._done :])
        return rest * (self.spent + UNKNOWN) / (past + UNKNOWN) if past else rest

    def __str__(self) -> str:
        place = f"{self._done}/{len(self._expected)}"
        return f"{place}, {self.spent / 60:.0f} min, about {self.left() / 60:.0f} min left"


def _usual(suite: str, walls: dict[tuple[str, str], float]) -> float:
    same = [seconds for (name, _), seconds in walls.items() if name == suite]
    return statistics.mean(same) if same else UNKNOWN
