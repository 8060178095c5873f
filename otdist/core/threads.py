"""How many threads the package uses: one for small work; blocks shared out among them for large.

Within each, torch is held to one thread: its own threads meet at a barrier after every operation.
When another process holds a core, each barrier waits for a time slice: a soft-min over 16 million
pairs took 75 to 140 ms beside two busy neighbours, and 27 ms in this way. Alone on the machine the
two are equal.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from otdist.core import checks

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_lock = threading.Lock()
_here = threading.local()


def each(parts: Iterable[slice], work: Callable[[slice], None], device: torch.device) -> None:
    """Call work(part) for all parts, which must be independent; no graph is recorded.

    On a GPU, for a single part, or where only one thread is wanted, in this thread.
    """
    tasks = [partial(work, part) for part in parts]
    if device.type == "cpu":
        run(tasks)
        return
    deadline = getattr(_here, "deadline", math.inf)
    with torch.no_grad():
        for task in tasks:
            _check_time(deadline)
            task()


def run(tasks: Sequence[Callable[[], None]]) -> None:
    """Call all tasks, which must be independent; within one, further calls stay in its thread."""
    threads, deadline = thread_count(), getattr(_here, "deadline", math.inf)
    if threads < 2 or len(tasks) < 2:
        with torch.no_grad():
            for task in tasks:
                _check_time(deadline)
                task()
        return
    inference, left = torch.is_inference_mode_enabled(), iter(tasks)

    def loop(_: int) -> None:
        # Grad and inference modes belong to a thread: another one does not have the caller's.
        with torch.inference_mode(inference), torch.no_grad(), _last(left):
            for task in left:
                _check_time(deadline)
                task()

    with _last(left):
        for _ in _pool(threads).map(loop, range(min(threads, len(tasks)))):
            pass


@contextmanager
def _last(tasks: Iterator) -> Iterator[None]:
    """After an error or an interrupt no further task begins, in any thread."""
    try:
        yield
    finally:
        for _ in tasks:
            pass


class TimeUpError(RuntimeError):
    """The deadline of `until` has passed."""


@contextmanager
def until(deadline: float) -> Iterator[None]:
    """End passes over blocks, `each` and `run`, by a `TimeUpError` once the deadline has passed.

    Args:
        deadline: Value of `time.perf_counter`; an earlier one of an outer call holds on.
    """
    before = getattr(_here, "deadline", math.inf)
    _here.deadline = min(before, deadline)
    try:
        yield
    finally:
        _here.deadline = before


def _check_time(deadline: float) -> None:
    if deadline < math.inf and time.perf_counter() > deadline:
        raise TimeUpError


SMALL = 1 << 19
"""Numbers of a problem below which the barriers of torch's threads cost more than they save."""

VARIABLE = "OTDIST_THREADS"
"""The environment variable that says what `set_threads` would."""

_chosen: list[int] = []  # the last one holds


def set_threads(n: int | None) -> None:
    """Set how many threads otdist uses for large problems; small ones take one in any case.

    Nothing else is changed: the threads of PyTorch outside otdist stay as they are.

    Args:
        n: At least 1. None goes back to the environment variable OTDIST_THREADS or, where that is
            not set, to the threads of PyTorch.

    Raises:
        TypeError, ValueError: not a whole number of at least 1.

    >>> import otdist
    >>> otdist.set_threads(1)
    >>> otdist.set_threads(None)
    """
    _chosen[:] = [] if n is None else [checks.whole("n", n)]


def thread_count() -> int:
    """How many threads a large problem may use here."""
    if (allowed := getattr(_here, "allowed", None)) is not None:
        return allowed
    if _chosen:
        return _chosen[-1]
    told = os.environ.get(VARIABLE)
    if told is None:
        return torch.get_num_threads()
    if not (told.isdecimal() and int(told) >= 1):
        raise ValueError(f"{VARIABLE} must be a whole number, at least 1: got {told!r}")
    return int(told)


@contextmanager
def threads_for(numbers: int) -> Iterator[None]:
    """Hold torch to the threads that a problem of so many numbers deserves: one where they are few.

    Even a reduction of a hundred numbers may wait for a second thread: exact transport of 300
    points took 14 ms in one thread and 107 ms in two beside a busy neighbour.
    """
    allowed = 1 if numbers <= SMALL else thread_count()
    with _limited(allowed, allowed):
        yield


@contextmanager
def threads_for_many() -> Iterator[None]:
    """Hold torch to one thread around many small problems, which `run` shares out among threads."""
    with _limited(thread_count(), 1):
        yield


@contextmanager
def _limited(allowed: int, inner: int) -> Iterator[None]:
    """What `thread_count` says, and the threads of torch; both as before afterwards."""
    before, outside = torch.get_num_threads(), getattr(_here, "allowed", None)
    _here.allowed = allowed
    if inner != before:
        torch.set_num_threads(inner)
    try:
        yield
    finally:
        _here.allowed = outside
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def scratch(rows: int, columns: int, like: Tensor) -> Tensor:
    """An uninitialised array of this thread, of the type of `like`, valid until its next call."""
    return held("scratch", (rows, columns), like.dtype, like.device)


def held(
    name: str, shape: Sequence[int], dtype: torch.dtype, device: torch.device | None = None
) -> Tensor:
    """An uninitialised array that this thread keeps, valid until its next call with this name.

    Fresh memory is paid for page by page when it is first written.
    """
    arrays: dict[tuple, Tensor] = _here.__dict__.setdefault("arrays", {})
    size, key = math.prod(shape), (name, dtype, device or torch.device("cpu"))
    if key not in arrays or len(arrays[key]) < size:
        arrays[key] = torch.empty(size, dtype=dtype, device=device)
    return arrays[key][:size].view(*shape)


def _pool(threads: int) -> ThreadPoolExecutor:
    """A pool of this process (a fork inherits no threads), started once for each size."""
    key = os.getpid(), threads
    with _lock:
        if key not in _pools:
            started, before = threading.Barrier(threads), torch.get_num_threads()
            pool = ThreadPoolExecutor(threads, "otdist", initializer=one_each)
            list(pool.map(lambda _: started.wait(), range(threads)))
            # A worker's limit is its own, but it is also what threads born later would take.
            torch.set_num_threads(before)
            _pools[key] = pool
        return _pools[key]


def one_each() -> None:
    """Mark this thread as a worker, which computes with one thread."""
    _here.allowed = 1
    torch.get_num_threads()  # a thread's first question resets its number: ask now
    torch.set_num_threads(1)
