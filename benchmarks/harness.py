"""From cases to rows: every competitor alone first, then those that work in turns.

Alone, in a process of its own, a competitor may fail, hang or run out of memory without harm: that
becomes a row which says so. Those that returned are then timed in turns in one process; where one
of them fails there, its row says so, and the turns begin again without it.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.case import OURS, Case
from benchmarks.process import Failed, ask
from benchmarks.records import Row
from benchmarks.suites import load

DEVICE_COLUMNS = ("status", "message", "seconds", "rounds", "peak_mb", "value", "error")


@dataclass(frozen=True)
class Settings:
    """How to run.

    Attributes:
        seed: Of the problems.
        device: "cpu", or "cuda" for the CPU and then the same on CUDA.
        threads: Of every library.
        rounds: Most rounds of calls in turns.
        budget: Seconds that the rounds of one case may take; at least one round is run.
        timeout: Seconds that one call may take; `process.PREPARATION` of them for imports, inputs,
            compilation and the truth, each.
        quick: Only the cases marked quick.
    """

    seed: int = 0
    device: str = "cpu"
    threads: int = os.cpu_count() or 1
    rounds: int = 9
    budget: float = 60.0
    timeout: float = 120.0
    quick: bool = False


def run(
    suites: Iterable[str], settings: Settings, done: Collection[str] = ()
) -> Iterator[tuple[str, list[Row]]]:
    """The rows of one case after the other, with a name that says how far the run is.

    Args:
        suites: Names.
        settings: How to run.
        done: Keys of cases to leave out.
    """
    for suite in suites:
        for case in load(suite):
            if case.key not in done and (case.quick or not settings.quick):
                yield f"{suite}: {case.key}", run_devices(suite, case, settings)


def run_devices(suite: str, case: Case, settings: Settings) -> list[Row]:
    """The rows of a case on the CPU; with another device, what it adds to each under its name."""
    rows = run_case(suite, case, replace(settings, device="cpu"))
    if settings.device != "cpu":
        there = {row["competitor"]: row for row in run_case(suite, case, settings)}
        for row in rows:
            found = there[row["competitor"]]
            row[settings.device] = {key: found[key] for key in DEVICE_COLUMNS if key in found}
    return rows


def run_case(suite: str, case: Case, settings: Settings) -> list[Row]:
    """One row for every competitor of the case, whatever happened to it."""
    truth, columns = _truth(suite, case, settings)
    rows = {name: columns | _alone(suite, case, settings, name, truth) for name in case.competitors}
    _in_turns(suite, case, settings, rows)
    return list(rows.values())


def _truth(suite: str, case: Case, settings: Settings) -> tuple[float | None, Row]:
    """The truth of the case; where it could not be had, a message for every row."""
    if case.truth is None:
        return None, {}
    try:
        return _work(suite, case, settings, task="truth")["truth"], {}
    except Failed as failure:
        return None, {"message": f"no truth: {failure}"}


def _alone(suite: str, case: Case, settings: Settings, name: str, truth: float | None) -> Row:
    row: Row = {"suite": suite, **case.describe(), "competitor": name, "status": "ok"}
    try:
        answer = _work(suite, case, settings, [name], task="alone")
    except Failed as failure:
        return row | {"status": failure.status, "message": str(failure)}
    row |= _first(answer, truth)
    if not answer["on_device"]:
        row |= {"status": "cpu only", "message": f"does not use {settings.device}"}
    return row


def _in_turns(suite: str, case: Case, settings: Settings, rows: dict[str, Row]) -> None:
    """Add the times of those that work; one that fails now is left out of another start."""
    while working := [name for name, row in rows.items() if row["status"] == "ok"]:
        rounds = _rounds(sum(rows[name]["seconds_alone"] for name in working), settings)
        try:
            answer = _work(suite, case, settings, working, task="in turns", rounds=rounds)
        except Failed as failure:
            for name in [failure.competitor] if failure.competitor else working:
                rows[name] |= {"status": failure.status, "message": f"in turns: {failure}"}
            continue
        for name in working:
            rows[name] |= _times(answer["seconds"][name], answer["seconds"].get(OURS))
        return


def _rounds(seconds: float, settings: Settings) -> int:
    """Rounds that fit into the budget, the one that warms up included."""
    return max(1, min(settings.rounds, int(settings.budget / max(seconds, 1e-9)) - 1))


def _first(answer: dict[str, Any], truth: float | None) -> Row:
    """Columns from the call alone: the answer, its error and its certificate."""
    outcome = answer["outcome"]
    value = None if math.isnan(outcome["value"]) else outcome["value"]
    error = None
    if truth is not None and value is not None:
        error = abs(value - truth) / (abs(truth) or 1.0)
    certified = outcome["lower"] is not None and outcome["upper"] is not None
    return {
        "value": value,
        "truth": truth,
        "error": error,
        "gap": outcome["upper"] - outcome["lower"] if certified else None,
        "converged": outcome["converged"],
        "seconds_alone": answer["seconds"],
        "peak_mb": answer["peak_mb"],
    }


def _times(seconds: list[float], ours: list[float] | None) -> Row:
    """Columns from the rounds: quartiles, and the ratio to ours formed within each round."""
    row: Row = {"rounds": len(seconds), "seconds": quartiles(seconds)}
    if ours is not None:
        row["ratio"] = quartiles([t / o for t, o in zip(seconds, ours, strict=True)])
    return row


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles.

    >>> quartiles([1.0, 2.0, 3.0])
    {'q25': 1.5, 'median': 2.0, 'q75': 2.5}
    """
    if len(values) == 1:
        return {"q25": values[0], "median": values[0], "q75": values[0]}
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"q25": low, "median": middle, "q75": high}


def _work(
    suite: str, case: Case, settings: Settings, names: Sequence[str] = (), **task: Any
) -> dict[str, Any]:
    """Ask a worker process about a case.

    Raises:
        Failed: it ended with an error, or did not end in time.
    """
    request = {
        "suite": suite,
        "case": case.key,
        "seed": settings.seed,
        "device": settings.device,
        "competitors": names,
        **task,
    }
    return ask(request, settings.threads, settings.timeout)
