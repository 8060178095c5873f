"""The worker processes seen from outside: what they are asked, how long a step takes, who is late.

A child of `benchmarks.server` notes what it begins. A call that takes longer than the limit ends
the child, and so does anything else that takes `PREPARATION` limits: the inputs of a case, the
imports and compilation of a competitor, the truth. The server itself goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

PREPARATION = 3
"""Limits of a call that a step outside of the calls may take."""
START = 300.0
"""Seconds that the imports of a server may take."""
POOLS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NPROC",  # of XLA
)


DEVICE = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""JAX takes most of a device when it starts, unless it is told not to."""


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
    """What a worker began last."""

    kind: str
    competitor: str = ""


class Workers:
    """A server and its children, one at a time; a context manager that ends them.

    Args:
        threads: Of every library in a child.
        cold: Whether the children find nothing imported.
    """

    def __init__(self, threads: int, cold: bool = False) -> None:
        self._threads, self._cold = threads, cold
        self._server: subprocess.Popen[bytes] | None = None
        self._pid, self._buffer = 0, b""

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server and the child that is at work."""
        self._end_child()
        if self._server:
            self._server.kill()
            self._server.communicate()
        self._server = None

    def ask(self, request: Mapping[str, Any], limit: float) -> dict[str, Any]:
        """The answer of a child to a request.

        Args:
            request: What `benchmarks.worker` reads.
            limit: Seconds that one call may take.

        Raises:
            Failed: it ended with an error, or a step took too long.
        """
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            try:
                stdin = self._started().stdin
                assert stdin
                stdin.write(json.dumps({**request, "folder": name}).encode() + b"\n")
                stdin.flush()
                return self._answer(limit, Path(name, "errors"))
            except Failed:
                raise
            except BaseException as error:
                self.close()
                if isinstance(error, OSError):
                    text = f"the server of the workers ended: {error}"
                    raise Failed("failed", text) from None
                raise

    def _started(self) -> subprocess.Popen[bytes]:
        if self._server is None or self._server.poll() is not None:
            environment = os.environ | dict.fromkeys(POOLS, str(self._threads)) | DEVICE
            command = [sys.executable, "-m", "benchmarks.server", *["--cold"] * self._cold]
            self._buffer = b""
            self._server = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            if self._read(time.monotonic() + START) is None:
                raise OSError(f"no start within {START:g} s")
        return self._server

    def _answer(self, limit: float, errors: Path) -> dict[str, Any]:
        """Follow the steps of a child until its end."""
        step, answer, late = Step("start"), None, ""
        deadline = time.monotonic() + PREPARATION * limit
        while True:
            message = self._read(deadline)
            if message is None:
                allowed = limit if step.kind == "call" else PREPARATION * limit
                late = f"no answer after {allowed:g} s" + _named(step)
                self._end_child()
                deadline = time.monotonic() + START
            elif "pid" in message:
                self._pid = message["pid"]
            elif "step" in message:
                step = Step(*message["step"])
                allowed = limit if step.kind == "call" else PREPARATION * limit
                deadline = time.monotonic() + allowed
            elif "answer" in message:
                answer = message["answer"]
            elif "end" in message:
                self._pid = 0
                if answer is not None:
                    return answer
                if late:
                    raise Failed("timeout", late, step.competitor)
                raise Failed("failed", _reason(message["end"], errors), step.competitor)

    def _read(self, deadline: float) -> dict[str, Any] | None:
        """The next line of the server; None where none came in time.

        Raises:
            OSError: the server ended.
        """
        server = self._server
        assert server
        assert server.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(server.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                found = os.read(server.stdout.fileno(), 2**16)
                if not found:
                    raise OSError(f"exit code {server.wait()}")
                self._buffer += found
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def _end_child(self) -> None:
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)  # the server ends what the child had started


def _named(step: Step) -> str:
    return "" if step.kind == "call" else f" of {step.kind}"


_RAISED = re.compile(r"[\w.]+(Error|Exception|Interrupt)\b")


def _reason(code: int, errors: Path) -> str:
    """What ended a process: a signal, or the last exception of its errors.

    Some libraries write remarks below it.
    """
    if code < 0:
        return f"killed by signal {-code} (out of memory?)"
    text = errors.read_text(encoding="utf-8", errors="replace") if errors.exists() else ""
    lines = text.strip().splitlines()
    named = [line for line in lines if _RAISED.match(line)]
    return (named or lines or [f"exit code {code}"])[-1]
