"""Memory that exact transport takes, and a refusal before it is allocated."""

from __future__ import annotations

import math
import os

POINT_BYTES = 16_000
"""Memory of column generation per point of both samples, as measured at 50,000 + 50,000."""

ROUGH_POINT_BYTES = 5_000
"""The same where an accuracy is asked for, at 50,000 + 50,000 points in ten dimensions."""


def check_memory(n: int, m: int, needed: int) -> None:
    """Refuse what would not fit into so many bytes, before anything is allocated."""
    free = available()
    if needed > free:
        raise MemoryError(
            f"exact transport of {n:,} by {m:,} points needs about {needed / 1e9:.1f} GB and "
            f"{free / 1e9:.1f} GB are free: use fewer points, or an approximate solver (Sinkhorn, "
            "Sliced), whose bracket contains the exact distance"
        )


def available() -> float:
    """Bytes that can be allocated without swapping; infinite where the system does not say."""
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024.0
    except OSError:
        pass
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return math.inf
