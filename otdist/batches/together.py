"""One distance for every pair of a batch, small ones side by side on threads.

A pair costs the same as in a call of its own, so that entries equal single calls bit by bit; what
is saved is the caller's loop and, on several cores, half of the time and more: SciPy's assignment,
the simplex and numpy's operations on a whole matrix of costs let other threads run.
"""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from otdist.batches import line
from otdist.batches.entries import Entries, Entry, entries
from otdist.batches.result import BatchResult, of_list
from otdist.core.result import warn_caller
from otdist.core.telling import Told, held_back
from otdist.core.threads import SMALL, run, thread_count, threads_for
from otdist.discrepancy.base import Discrepancy
from otdist.discrepancy.wasserstein import Wasserstein
from otdist.exact.exact import Exact

_SHARES = 4
"""Parts for every thread: the last one is waited for."""


def together(chosen: Discrepancy, samples: Entry, **call: Any) -> Any:
    """The answers for samples with leading dimensions.

    Args:
        chosen: The distance.
        samples: x (..., n, d), y (..., m, d), a (n,) or (..., n), b (m,) or (..., m).
        **call: Passed on to each answer; `start` must be a batch of the same shape.

    Returns:
        A `BatchResult`; an array or a tensor of the leading shape where one pair has a number.
    """
    begin, batch = time.perf_counter(), entries(*samples)
    start = _starts(call.pop("start", None), batch)
    if start is None and _is_line(chosen, batch):
        entry = partial(_later, chosen, line.kept(batch))
        found = line.solve(batch, chosen.p, entry, begin)
        if found is not None:
            return found
    found, told = _solved(chosen, batch, start, call)
    _tell(told, batch.shape)
    first = found[0]
    if isinstance(first, Tensor):
        return torch.stack(found).to(batch.kind.dtype).reshape(batch.shape)
    if isinstance(first, float):
        return np.array(found).reshape(batch.shape)
    return of_list(found, batch.shape, batch.kind, time.perf_counter() - begin)


def _is_line(chosen: Discrepancy, batch: Entries) -> TypeGuard[Wasserstein]:
    """Whether all pairs have the closed form."""
    return (
        isinstance(chosen, Wasserstein)
        and chosen.metric is None
        and (chosen.solver is None or isinstance(chosen.solver, Exact))
        and batch.x.shape[-1] == 1
    )


def _later(chosen: Discrepancy, batch: Entries, k: int) -> Any:
    """The single result of one entry, when it is asked for."""
    return _one(chosen, batch.entry(k), _place(k, batch.shape), {})


def _solved(
    chosen: Discrepancy, batch: Entries, starts: list[Any] | None, call: dict[str, Any]
) -> tuple[list[Any], list[Told]]:
    """The answer for every entry, and what each would have told the caller."""
    pairs, graph = batch.cut(), torch.is_grad_enabled()
    found: list[Any] = [None] * len(pairs)
    told: list[Told] = [[] for _ in pairs]

    def work(part: range) -> None:
        with torch.set_grad_enabled(graph):  # threads do not have the caller's mode
            for k in part:
                options = call if starts is None else {**call, "start": starts[k]}
                with held_back() as told[k]:
                    found[k] = _one(chosen, pairs[k], _place(k, batch.shape), options)

    side_by_side = batch.pairs <= SMALL and batch.x.device.type == "cpu"
    shares = _SHARES * thread_count() if side_by_side else 1
    step = -(-len(pairs) // min(shares, len(pairs)))
    run([partial(work, range(k, min(k + step, len(pairs)))) for k in range(0, len(pairs), step)])
    return found, told


def _one(chosen: Discrepancy, pair: Entry, place: str, call: dict[str, Any]) -> Any:
    try:
        both = chosen.frame(*pair)
        with threads_for(chosen.numbers(both)):
            return chosen.answer(both, **call)
    except (ValueError, TypeError, MemoryError) as error:
        raise type(error)(f"entry {place}: {error}") from error


def _starts(start: Any, batch: Entries) -> list[Any] | None:
    """The earlier result of every entry; None where there are none."""
    if start is None:
        return None
    if not isinstance(start, BatchResult) or start.shape != batch.shape:
        got = f"shape {start.shape}" if isinstance(start, BatchResult) else type(start).__name__
        raise ValueError(
            f"start must be the result of a batch of shape {batch.shape}, as x and y are: got {got}"
        )
    return [start[place] for place in np.ndindex(batch.shape)]


def _place(k: int, shape: tuple[int, ...]) -> str:
    """Where an entry stands, as an index in words."""
    return ", ".join(str(int(i)) for i in np.unravel_index(k, shape))


def _tell(told: list[Told], shape: tuple[int, ...]) -> None:
    """Warn of what entries had to say, once for each kind of warning."""
    counts = Counter(kind for entry in told for kind in {category for _, category in entry})
    for kind, count in counts.items():
        k, message = next((k, m) for k, entry in enumerate(told) for m, c in entry if c is kind)
        warn_caller(
            f"{count} of {len(told)} entries, the first is [{_place(k, shape)}]: {message}", kind
        )
