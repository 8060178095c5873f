"""From cases to rows: every competitor alone first, then those that work in turns.

Alone, in a process of its own, a competitor may fail, hang or run out of memory without harm: that
becomes a row which says so. Those that returned are then timed in turns in one process; where one
of them fails there, its row says so, and the turns begin again without it.
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.case import OURS, Case
from benchmarks.process import Failed, Workers
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
        only: Whether `device` is measured without the CPU beside it.
    """

    seed: int = 0
    device: str = "cpu"
    threads: int = os.cpu_count() or 1
    rounds: int = 9
    budget: float = 20.0
    timeout: float = 40.0
    quick: bool = False
    only: bool = False

    @property
    def slow(self) -> float:
        """Seconds from which a call is not repeated: the one alone is its only round."""
        return self.budget / 4


@dataclass(frozen=True)
class Job:
    """A case, and what is used for it: the settings, the workers, the file of its inputs."""

    suite: str
    case: Case
    settings: Settings
    workers: Workers
    inputs: Path

    def ask(self, names: Sequence[str] = (), **task: Any) -> dict[str, Any]:
        """Ask a worker process about the case.

        Raises:
            Failed: it ended with an error, or did not end in time.
        """
        request = {
            "suite": self.suite,
            "case": self.case.key,
            "seed": self.settings.seed,
            "device": self.settings.device,
            "inputs": str(self.inputs),
            "competitors": names,
            **task,
        }
        return self.workers.ask(request, self.case.limit or self.settings.timeout)


def chosen(suites: Iterable[str], settings: Settings) -> list[tuple[str, Case]]:
    """The cases that a run has, each with its suite."""
    cases = [(suite, case) for suite in suites for case in load(suite)]
    return [(suite, case) for suite, case in cases if case.quick or not settings.quick]


def run(cases: Iterable[tuple[str, Case]], settings: Settings) -> Iterator[list[Row]]:
    """The rows of one case after the other; "wall" is what all of them took, in seconds."""
    # A library that asks for a device in the server would leave its children without one.
    with Workers(settings.threads, cold=settings.device != "cpu") as workers:
        for suite, case in cases:
            start = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                job = Job(suite, case, settings, workers, Path(folder, "inputs"))
                rows = run_devices(job)
            wall = round(time.monotonic() - start, 2)
            yield [row | {"wall": wall} for row in rows]


def run_devices(job: Job) -> list[Row]:
    """The rows of a case on the CPU; with another device, what it adds to each under its name."""
    device = job.settings.device
    if device == "cpu" or job.settings.only:
        return run_case(job)
    rows = run_case(replace(job, settings=replace(job.settings, device="cpu")))
    there = {row["competitor"]: row for row in run_case(job)}
    for row in rows:
        found = there[row["competitor"]]
        row[device] = {key: found[key] for key in DEVICE_COLUMNS if key in found}
    return rows


def run_case(job: Job) -> list[Row]:
    """One row for every competitor of the case, whatever happened to it."""
    truth, columns = _truth(job)
    rows = {name: columns | _alone(job, name, truth) for name in job.case.competitors}
    _in_turns(job, rows)
    ours = rows[OURS]
    for row in rows.values():
        if "seconds" in row and "seconds" in ours and "ratio" not in row:
            row["ratio"] = quartiles([row["seconds"]["median"] / ours["seconds"]["median"]])
    return list(rows.values())


def _truth(job: Job) -> tuple[float | None, Row]:
    """The truth of the case, whose inputs are made for all; without one, a message for every row.

    A failure to make the inputs is met again by every competitor, and becomes its row.
    """
    try:
        return job.ask(task="truth")["truth"], {}
    except Failed as failure:
        return None, {"message": f"no truth: {failure}"} if job.case.truth else {}


def _alone(job: Job, name: str, truth: float | None) -> Row:
    row: Row = {"suite": job.suite, **job.case.describe(), "competitor": name, "status": "ok"}
    try:
        answer = job.ask([name], task="alone")
    except Failed as failure:
        return row | {"status": failure.status, "message": str(failure)}
    row |= _first(answer, truth)
    if not answer["on_device"]:
        row |= {"status": "cpu only", "message": f"does not use {job.settings.device}"}
    return row


def _in_turns(job: Job, rows: dict[str, Row]) -> None:
    """Add the times of those that work; one that fails now is left out of another start.

    A call that takes long is not made again: warming up changes nothing of it, and in the minutes
    of another round a neighbour may come and go all the same.
    """
    for row in rows.values():
        if row["status"] == "ok" and row["seconds_alone"] > job.settings.slow:
            row |= _times([row["seconds_alone"]], None)
    while names := [n for n, row in rows.items() if row["status"] == "ok" and "rounds" not in row]:
        rounds = _rounds(sum(rows[name]["seconds_alone"] for name in names), job.settings)
        try:
            answer = job.ask(names, task="in turns", rounds=rounds)
        except Failed as failure:
            for name in [failure.competitor] if failure.competitor else names:
                rows[name] |= {"status": failure.status, "message": f"in turns: {failure}"}
            continue
        for name in names:
            rows[name] |= _times(answer["seconds"][name], answer["seconds"].get(OURS))
            rows[name]["repeats"] = answer["repeats"][name]


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
