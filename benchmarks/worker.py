"""The process that does the work: one competitor alone (memory, failures), or all in turns (time).

Time is measured in turns: each round calls every competitor once, in an order that is shuffled
anew, so that a busy neighbour slows them all, and ratios are formed within a round. The first round
warms up and is not counted.

Run by `benchmarks.process`, as `python -m benchmarks.worker FOLDER`, with request.json in the
folder. It notes what it begins in the file `steps` there, and leaves answer.json.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import memory
from benchmarks.case import Case, Inputs, Outcome
from benchmarks.suites import load

Note = Callable[..., None]
"""Called with the kind of a step and whose it is, before it begins."""


def main() -> None:
    """Answer one request."""
    folder = Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    with open(folder / "steps", "w", encoding="utf-8") as steps:
        note = partial(_note, steps)
        note("inputs")
        case = next(case for case in load(request["suite"]) if case.key == request["case"])
        inputs = dict(case.make(request["seed"]), device=request["device"])
        if request["task"] == "truth":
            note("truth")
            answer = {"truth": case.truth(inputs) if case.truth else None}
        elif request["task"] == "alone":
            answer = alone(case, inputs, request["competitors"][0], note)
        else:
            answer = in_turns(case, inputs, request["competitors"], request["rounds"], note)
        text = json.dumps(answer)
        (folder / "answer.json").write_text(text, encoding="utf-8")
        note("end")


def _note(steps: Any, kind: str, competitor: str = "") -> None:
    steps.write(f"{kind} {competitor}\n")
    steps.flush()


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
    return {
        "outcome": asdict(outcome),
        "seconds": seconds,
        "peak_mb": meter(),
        "on_device": memory.used(inputs["device"]),
    }


def in_turns(
    case: Case, inputs: Inputs, names: list[str], rounds: int, note: Note
) -> dict[str, Any]:
    """Seconds of each competitor in each round."""
    calls = {}
    for name in names:
        note("preparation", name)
        calls[name] = case.competitors[name](inputs)
    shuffle = random.Random(0)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        order = list(names)
        shuffle.shuffle(order)
        for name in order:
            note("call", name)
            elapsed, _ = timed(calls[name], inputs["device"])
            if turn:
                seconds[name].append(elapsed)
    return {"seconds": seconds}


def timed(call: Callable[[], Outcome], device: str) -> tuple[float, Outcome]:
    """Seconds of one call, waiting for the device."""
    start = time.perf_counter()
    outcome = call()
    if device != "cpu":
        import torch

        torch.cuda.synchronize()
    return time.perf_counter() - start, outcome


if __name__ == "__main__":
    main()
