"""From cases to rows: every competitor alone first, then those that work in turns.

Alone, in a process of its own with a time limit, a competitor may fail, hang or run out of memory
without harm: that becomes a row which says so. Those that returned are then timed in turns in one
process.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.case import OURS, Case
from benchmarks.suites import load

Row = dict[str, Any]
DEVICE_COLUMNS = ("status", "message", "seconds", "peak_mb", "value", "error")


@dataclass(frozen=True)
class Settings:
    """How to run.

    Attributes:
        seed: Of the problems.
        device: "cpu", or "cuda" for the CPU and then the same on CUDA.
        threads: Of every library.
        rounds: Most rounds of calls in turns.
        budget: Seconds that the rounds of one case may take; at least one round is run.
        timeout: Seconds after which a competitor alone is given up.
        quick: Only the cases marked quick.
    """

    seed: int = 0
    device: str = "cpu"
    threads: int = os.cpu_count() or 1
    rounds: int = 9
    budget: float = 60.0
    timeout: float = 120.0
    quick: bool = False


class Failed(Exception):
    """A worker did not answer; `status` is failed or timeout."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


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
    rows: dict[str, Row] = {}
    for name in case.competitors:
        row: Row = {"suite": suite, **case.describe(), "competitor": name, "status": "ok"}
        try:
            answer = _work(suite, case, settings, [name], task="alone")
        except Failed as failure:
            row |= {"status": failure.status, "message": str(failure)}
        else:
            row |= _first(answer)
            if not answer["on_device"]:
                row |= {"status": "cpu only", "message": f"does not use {settings.device}"}
        rows[name] = row
    working = [name for name, row in rows.items() if row["status"] == "ok"]
    rounds = _rounds(sum(rows[name]["seconds_alone"] for name in working), settings)
    try:
        answer = _work(suite, case, settings, working, task="in turns", rounds=rounds)
    except Failed as failure:
        for name in working:
            rows[name] |= {"status": failure.status, "message": f"in turns: {failure}"}
        return list(rows.values())
    ours = answer["seconds"].get(OURS)
    for name in working:
        rows[name] |= _times(answer["seconds"][name], ours)
    return list(rows.values())


def _rounds(seconds: float, settings: Settings) -> int:
    """Rounds that fit into the budget, the one that warms up included."""
    return max(1, min(settings.rounds, int(settings.budget / max(seconds, 1e-9)) - 1))


def _first(answer: dict[str, Any]) -> Row:
    """Columns from the call alone: the answer, its error and its certificate."""
    outcome, truth = answer["outcome"], answer["truth"]
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
    suite: str, case: Case, settings: Settings, names: list[str], **task: Any
) -> dict[str, Any]:
    """Ask a worker process.

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
    threads = str(settings.threads)
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = os.environ | dict.fromkeys(pools, threads)
    limit = settings.timeout * (1 if task["task"] == "alone" else 1 + len(names))
    with tempfile.TemporaryDirectory() as folder:
        asked, told = Path(folder, "request.json"), Path(folder, "answer.json")
        asked.write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.worker", str(asked), str(told)]
        try:
            done = subprocess.run(
                command, env=environment, timeout=limit, capture_output=True, text=True
            )
        except subprocess.TimeoutExpired:
            raise Failed("timeout", f"no answer after {limit:g} s") from None
        if done.returncode != 0 or not told.exists():
            raise Failed("failed", _last_line(done))
        return json.loads(told.read_text(encoding="utf-8"))


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"killed by signal {-done.returncode} (out of memory?)"
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
