"""A worker process seen from outside: what it is asked, how long its calls take, who is to blame.

The worker notes what it begins, a line each, in a file that is read here every tenth of a second. A
call that takes longer than the limit ends the process, and so does anything else that takes
`PREPARATION` limits: the inputs of a case, the imports and compilation of a competitor, the truth.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

PREPARATION = 10
"""Limits of a call that a step outside of the calls may take."""
INTERVAL = 0.1
POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Failed(Exception):
    """A worker did not answer.

    Attributes:
        status: failed or timeout.
        competitor: Whose step it was, empty where it was nobody's.
    """

    def __init__(self, status: str, message: str, competitor: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.competitor = competitor


class Step(NamedTuple):
    """What a worker began last; `number` counts its steps."""

    number: int
    kind: str
    competitor: str


def ask(request: Mapping[str, Any], threads: int, limit: float) -> dict[str, Any]:
    """The answer of a worker to a request.

    Args:
        request: What `benchmarks.worker` reads.
        threads: Of every library in the worker.
        limit: Seconds that one call may take.

    Raises:
        Failed: it ended with an error, or a step took too long.
    """
    environment = os.environ | dict.fromkeys(POOLS, str(threads))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.worker", name]
        with open(folder / "errors", "wb") as errors:
            worker = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=errors
            )
            try:
                late = _watch(worker, folder, limit)
            finally:
                worker.kill()
                worker.wait()
        answer = folder / "answer.json"
        if answer.exists():  # complete: what follows it is only the end of the process
            return json.loads(answer.read_text(encoding="utf-8"))
        competitor = _step(folder).competitor
        if late:
            raise Failed("timeout", late, competitor)
        raise Failed("failed", _reason(worker.returncode, folder), competitor)


def _watch(worker: subprocess.Popen[bytes], folder: Path, limit: float) -> str:
    """Wait until the worker ends, or a step is late: then the sentence that says so."""
    step, since = _step(folder), time.monotonic()
    while True:
        try:
            worker.wait(INTERVAL)
            return ""
        except subprocess.TimeoutExpired:
            pass
        last = _step(folder)
        if last != step:
            step, since = last, time.monotonic()
        allowed = limit if step.kind == "call" else PREPARATION * limit
        if time.monotonic() - since > allowed:
            return f"no answer after {allowed:g} s" + _named(step)


def _named(step: Step) -> str:
    return "" if step.kind == "call" else f" of {step.kind}"


def _step(folder: Path) -> Step:
    """The last whole line of the notes."""
    notes = folder / "steps"
    text = notes.read_text(encoding="utf-8") if notes.exists() else ""
    lines = text.split("\n")[:-1]
    kind, _, competitor = (lines[-1] if lines else "start").partition(" ")
    return Step(len(lines), kind, competitor)


def _reason(code: int, folder: Path) -> str:
    if code < 0:
        return f"killed by signal {-code} (out of memory?)"
    lines = (folder / "errors").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {code}"
