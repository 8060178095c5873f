"""Blocks shared out among threads, with single-threaded torch inside each; small work in one.

Torch's own threads meet at a barrier after every operation. When another process holds a core, each
barrier waits for a time slice: a soft-min over 16 million pairs took 75 to 140 ms beside two busy
neighbours, and 27 ms in this way. Alone on the machine the two are equal.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_lock = threading.Lock()
_here = threading.local()


def each(parts: Iterable[slice], work: Callable[[slice], None], device: torch.device) -> None:
    """Call work(part) for all parts, which must be independent; no graph is recorded.

    On a GPU, for a single part, or when torch is held to one thread, in this thread.
    """
    tasks = [partial(work, part) for part in parts]
    if device.type == "cpu":
        run(tasks)
        return
    with torch.no_grad():
        for task in tasks:
            task()


def run(tasks: Sequence[Callable[[], None]]) -> None:
    """Call all tasks, which must be independent; within one, further calls stay in its thread."""
    threads = torch.get_num_threads()
    if threads < 2 or len(tasks) < 2 or getattr(_here, "worker", False):
        with torch.no_grad():
            for task in tasks:
                task()
        return
    inference = torch.is_inference_mode_enabled()

    def one(task: Callable[[], None]) -> None:
        # Grad and inference modes belong to a thread: another one does not have the caller's.
        with torch.inference_mode(inference), torch.no_grad():
            task()

    for _ in _pool(threads).map(one, tasks):
        pass


SMALL = 1 << 19
"""Numbers of a problem below which the barriers of torch's threads cost more than they save."""


@contextmanager
def single_thread(numbers: int) -> Iterator[None]:
    """Hold torch to one thread inside, for a problem of few `numbers`.

    Even a reduction of a hundred numbers may wait for a second thread: exact transport of 300
    points took 14 ms in one thread and 107 ms in two beside a busy neighbour.
    """
    threads = torch.get_num_threads()
    if numbers > SMALL or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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
            started = threading.Barrier(threads)
            pool = ThreadPoolExecutor(threads, "otdist", initializer=one_each)
            list(pool.map(lambda _: started.wait(), range(threads)))
            # A worker's limit is its own, but it is also what threads born later would take.
            torch.set_num_threads(threads)
            _pools[key] = pool
        return _pools[key]


def one_each() -> None:
    """Mark this thread as a worker, which computes with one thread."""
    _here.worker = True
    torch.set_num_threads(1)
