"""One distance for every pair of a batch.

A pair is solved as in a call of its own, so that entries equal single calls bit by bit. Exact
transport, where most of a small call is spent around the solver, has ways of its own: on the line
(`line`), where many rows are sorted at once, and by matrices of costs (`dense`). Sliced distances
take all slices of all pairs together (`sliced`).
"""

from __future__ import annotations

import math
import time
from functools import partial
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from otdist.batches import dense, line, sliced
from otdist.batches.entries import Entries, Entry, entries
from otdist.batches.result import BatchResult, of_list
from otdist.batches.side_by_side import place, side_by_side
from otdist.core.threads import threads_for, threads_for_many
from otdist.discrepancy.base import Discrepancy
from otdist.discrepancy.sliced import SlicedDistance
from otdist.discrepancy.wasserstein import Wasserstein
from otdist.exact.exact import Exact


@threads_for_many()
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
    found = None
    if start is None and is_exact(chosen):
        entry = partial(_later, chosen, batch.kept())
        solve = line.solve if batch.x.shape[-1] == 1 else dense.solve
        found = solve(batch, chosen.p, entry, begin)
    elif type(chosen) is SlicedDistance:
        found = sliced.solve(batch, chosen, call["seed"], begin)
    if found is not None:
        return found
    pairs = batch.cut()

    def one(k: int) -> Any:
        options = call if start is None else {**call, "start": start[k]}
        return _one(chosen, pairs[k], place(k, batch.shape), options)

    found = side_by_side(one, batch.shape, batch.pairs, batch.x.device)
    first = found[0]
    if isinstance(first, Tensor):
        return torch.stack(found).to(batch.kind.dtype).reshape(batch.shape)
    if isinstance(first, float):
        return np.array(found).reshape(batch.shape)
    return of_list(found, batch.shape, batch.kind, time.perf_counter() - begin)


def is_exact(chosen: Discrepancy) -> TypeGuard[Wasserstein]:
    """Whether all pairs are solved exactly, between points of Euclidean space."""
    return (
        isinstance(chosen, Wasserstein)
        and chosen.metric is None
        and (chosen.solver is None or chosen.solver == Exact())
        and chosen.p < math.inf
    )


def _later(chosen: Discrepancy, batch: Entries, k: int) -> Any:
    """The single result of one entry, when it is asked for."""
    return _one(chosen, batch.entry(k), place(k, batch.shape), {})


def _one(chosen: Discrepancy, pair: Entry, where: str, call: dict[str, Any]) -> Any:
    try:
        both = chosen.frame(*pair)
        with threads_for(chosen.numbers(both)):
            return chosen.answer(both, **call)
    except (ValueError, TypeError, MemoryError) as error:
        raise type(error)(f"entry {where}: {error}") from error


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
