"""A proved 1% of W_2 between hundreds of thousands of points, in many dimensions, and a million.

Nobody else attempts these. They take ten minutes together, and `--suite all` leaves them out.
"""

from __future__ import annotations

from benchmarks.case import Case
from benchmarks.suites.scale import mixture_case

HOUR = 3600.0
SIZES = ((200_000, 10), (1_000_000, 2), (200_000, 32), (1_000_000, 3))


def cases() -> list[Case]:
    """All cases of the suite."""
    return [mixture_case(n, d, limit=HOUR) for n, d in SIZES]
