"""The work of one request: one competitor alone (memory, failures), or all in turns (time).

Time is measured in turns: each round calls every competitor, in an order that is shuffled anew, so
that a busy neighbour slows them all, and ratios are formed within a round. The first round warms up
and is not counted; it also says how often a short call is repeated within a round, because a clock
and a neighbour disturb single calls of microseconds.

`benchmarks.server` runs it in a process of its own. It notes what it begins, step by step.
"""

from __future__ import annotations

import math
import pickle
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import memory
from benchmarks.case import Case, Inputs, Outcome
from benchmarks.suites import load

LEAST = 0.01
"""Seconds that the repeated calls of a competitor fill within a round, at least."""
MOST_REPEATS = 1000
Note = Callable[..., None]
"""Called with the kind of a step and whose it is, before it begins."""


def work(request: dict[str, Any], note: Note) -> dict[str, Any]:
    """The answer to one request."""
    note("inputs")
    case = next(case for case in load(request["suite"]) if case.key == request["case"])
    inputs = dict(_inputs(case, request), device=request["device"])
    if request["task"] == "truth":
        note("truth")
        return {"truth": case.truth(inputs) if case.truth else None}
    if request["task"] == "alone":
        return alone(case, inputs, request["competitors"][0], note)
    return in_turns(case, inputs, request["competitors"], request["rounds"], note)


def _inputs(case: Case, request: dict[str, Any]) -> Inputs:
    """The inputs, made by the first worker of a case and read by the others.

    Not forked with the arrays: what makes them may start threads, which do not survive a fork.
    """
    path = Path(request["inputs"])
    if path.exists():
        return pickle.loads(path.read_bytes())
    inputs = case.make(request["seed"])
    try:
        data = pickle.dumps(inputs, protocol=5)
    except Exception:  # an object that cannot be written is made again
        return inputs
    path.write_bytes(data)
    return inputs


def alone(case: Case, inputs: Inputs, name: str, note: Note) -> dict[str, Any]:
    """One call after preparation: outcome, seconds, and the memory that the call added.

    The peak counts from after the imports and conversions, so that a library is not charged for its
    size, only for what it needs to solve the problem.
    """
    note("preparation", name)
    call = case.competitors[name](inputs)
    meter = memory.meter(inputs["device"])
    note("call", name)
    seconds, outcome = timed(call, inputs["device"])
    peak = meter()
    note("proof", name)
    return {
        "outcome": asdict(outcome.late() if outcome.late else outcome),
        "seconds": seconds,
        "peak_mb": peak,
        "on_device": memory.used(inputs["device"]),
    }


def in_turns(
    case: Case, inputs: Inputs, names: list[str], rounds: int, note: Note
) -> dict[str, Any]:
    """Seconds of a call of each competitor in each round, and calls in a round."""
    calls = {}
    for name in names:
        note("preparation", name)
        calls[name] = case.competitors[name](inputs)
    shuffle = random.Random(0)
    repeats: dict[str, int] = dict.fromkeys(names, 1)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        order = list(names)
        shuffle.shuffle(order)
        for name in order:
            note("call", name)
            elapsed, _ = timed(calls[name], inputs["device"], repeats[name])
            if turn:
                seconds[name].append(elapsed)
            elif elapsed < LEAST:
                repeats[name] = _repeats(calls[name], inputs["device"])
    return {"seconds": seconds, "repeats": repeats}


def _repeats(call: Callable[[], Outcome], device: str) -> int:
    """Calls that fill a round, by the fastest of three: the first one may have begun something."""
    fastest = min(timed(call, device)[0] for _ in range(3))
    return min(MOST_REPEATS, math.ceil(LEAST / max(fastest, 1e-9)))


def timed(call: Callable[[], Outcome], device: str, repeats: int = 1) -> tuple[float, Outcome]:
    """Seconds of one call on average, waiting for the device, and the last outcome."""
    start = time.perf_counter()
    for _ in range(repeats - 1):
        call()
    outcome = call()
    if device != "cpu":
        import torch

        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats, outcome
