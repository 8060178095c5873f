"""Many independent problems, small ones side by side on threads; warnings are told once for all.

SciPy's assignment, the simplex and numpy's operations on a whole matrix of costs let other threads
run; the Python around them does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from otdist.core.result import warn_caller
from otdist.core.telling import Told, held_back
from otdist.core.threads import SMALL, run, thread_count

_SHARES = 4
"""Parts for every thread: the last one is waited for."""


def side_by_side(
    one: Callable[[int], Any],
    shape: tuple[int, ...],
    numbers: int,
    device: torch.device,
    places: Sequence[int] | None = None,
) -> list[Any]:
    """What `one` returns for places of a batch, in the grad mode of the caller.

    Args:
        one: Solves the problem at a place, counted in the order of the last dimension first.
        shape: The leading dimensions.
        numbers: Of one problem: large ones use all threads themselves, one after another.
        device: Where the problems are; on a GPU they are solved one after another.
        places: Which; all of them where None.
    """
    if shape == ():
        return [one(0)]
    at = range(int(np.prod(shape))) if places is None else places
    count = len(at)
    found: list[Any] = [None] * count
    told: list[Told] = [[] for _ in found]
    graph = torch.is_grad_enabled()

    def work(part: range) -> None:
        with torch.set_grad_enabled(graph):  # threads do not have the caller's mode
            for k in part:
                with held_back() as told[k]:
                    found[k] = one(at[k])

    shares = _SHARES * thread_count() if numbers <= SMALL and device.type == "cpu" else 1
    step = -(-count // min(shares, count))
    run([partial(work, range(k, min(k + step, count))) for k in range(0, count, step)])
    _tell(dict(zip(at, told, strict=True)), shape)
    return found


def place(k: int, shape: tuple[int, ...]) -> str:
    """Where an entry stands, as an index in words."""
    return ", ".join(str(int(i)) for i in np.unravel_index(k, shape))


def _tell(told: dict[int, Told], shape: tuple[int, ...]) -> None:
    """Warn of what entries had to say, once for each kind of warning."""
    counts = Counter(
        kind for entry in told.values() for kind in {category for _, category in entry}
    )
    for kind, count in counts.items():
        k, message = next((k, m) for k, entry in told.items() for m, c in entry if c is kind)
        warn_caller(
            f"{count} of {np.prod(shape)} entries, the first is [{place(k, shape)}]: {message}",
            kind,
        )
