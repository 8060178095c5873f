"""A warm process that forks a child for every request: imports are paid once, not once a call.

It imports what the suites use and nothing more: no call that starts a pool of threads or the
backend of a library comes before the fork, because threads do not survive it (OpenBLAS stops its
own and starts them again). Each child has memory, failures and a process group of its own, and
dies with its parent.

Run by `benchmarks.process`, as `python -m benchmarks.server`. Requests are lines of JSON on the
standard input; what a child notes, its answer and its end are lines of JSON on the output.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import pkgutil
import signal
import sys
import tempfile
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import worker

LIBRARIES = (
    "numpy",
    "scipy.optimize",
    "scipy.sparse.linalg",
    "scipy.spatial.distance",
    "scipy.stats",
    "torch",
    "ot",
    "geomloss",
    "ott.geometry.pointcloud",
    "ott.tools.sinkhorn_divergence",
    "sklearn.datasets",
    "sklearn.metrics",
    "dcor",
    "prdc",
)
"""What competitors import, where it is installed."""
ELSEWHERE = ("otdist.adapters", "otdist.cli", "otdist.keras", "otdist.io")
"""Rooms that no suite uses, and what they would import with them."""
DIE = 1  # PR_SET_PDEATHSIG of Linux


def main() -> None:
    """Import, then fork a child for every line until there are no more."""
    channel = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the harness is told, and ends this process
    _die_with_parent()
    if "--cold" not in sys.argv:
        preload()
    gc.collect()
    gc.freeze()  # children neither copy nor search what is here
    _give_back()
    _send(channel, {"ready": os.getpid()})
    for line in sys.stdin.buffer:
        warnings.simplefilter("ignore", RuntimeWarning)  # jax warns of any fork
        pid = os.fork()
        if pid == 0:
            _child(json.loads(line), channel)
        _send(channel, {"pid": pid})
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(ProcessLookupError):  # processes that the child left behind
            os.killpg(pid, signal.SIGKILL)
        _send(channel, {"end": os.waitstatus_to_exitcode(status)})


def preload() -> None:
    """Import the libraries and the rooms of otdist; what is missing fails in its own row."""
    import otdist

    rooms = [m.name for m in pkgutil.walk_packages(otdist.__path__, "otdist.", lambda name: None)]
    for name in (*LIBRARIES, *(room for room in rooms if not room.startswith(ELSEWHERE))):
        with contextlib.suppress(Exception):
            import_module(name)


def _child(request: dict[str, Any], channel: int) -> None:
    """Do what is asked, and leave without the clean-up of libraries that nobody used."""
    os.setsid()
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    warnings.resetwarnings()
    os.environ["TMPDIR"] = tempfile.tempdir = request["folder"]
    errors = os.open(os.path.join(request["folder"], "errors"), os.O_WRONLY | os.O_CREAT)
    for stream, target in ((0, os.open(os.devnull, os.O_RDONLY)), (1, errors), (2, errors)):
        os.dup2(target, stream)
    with contextlib.suppress(OSError):  # where memory runs out, this process is the one to go
        Path("/proc/self/oom_score_adj").write_text("1000")
    code = 1
    try:
        answer = worker.work(request, lambda *step: _send(channel, {"step": step}))
        _send(channel, {"answer": answer})
        code = 0
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _send(channel: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(channel, data) :]


def _give_back() -> None:
    """Free blocks that the imports left would hide what a child's call needs."""
    with contextlib.suppress(AttributeError):  # of the GNU C library only
        ctypes.CDLL(None).malloc_trim(0)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE, signal.SIGKILL)


if __name__ == "__main__":
    main()
