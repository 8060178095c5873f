"""Who computes the pairs: this thread, threads of this machine, or the workers of a Dask client.

Threads share the samples and need no start-up. The simplex and torch release the interpreter's
lock, the Python around them does not: two threads take 500 by 500 points 1.5 times as fast as one,
two processes 1.8 times; from about 1,000 points on the difference is small. Processes are Dask's: a
`LocalCluster` is one on this machine.

On Dask the prepared samples are tasks too, so that a worker that dies takes nothing with it that
its scheduler could not compute again. Chunks whose inputs were lost are submitted again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import torch

from otdist.all_pairs.work import Method, Places, Record, compare, failed, prepare
from otdist.core import threads
from otdist.core.extras import require

_CHUNKS = 32  # chunks per thread: few enough for their overhead, enough for the last to be short
_TASKS = 8  # chunks per worker of a cluster, where each costs about 10 ms
_LARGEST_CHUNK = 64
_ATTEMPTS = 4  # submissions of a chunk whose worker died or whose inputs were lost

Answer = tuple[Places, Record]
Samples = Sequence[tuple[Any, Any]]
"""Samples, each with its weights or None."""


def chunks(pairs: Sequence[Places], count: int) -> list[Sequence[Places]]:
    """Pairs in order, in about so many chunks; more where they would be large."""
    size = min(max(len(pairs) // count, 1), _LARGEST_CHUNK)
    return [pairs[lo : lo + size] for lo in range(0, len(pairs), size)]


def in_threads(
    method: Method, samples: Samples, pairs: Sequence[Places], jobs: int
) -> Iterator[Answer]:
    """Answers in the order in which they are found; in the caller's thread for one job."""
    needed = sorted({k for pair in pairs for k in pair})
    if jobs == 1:
        prepared = {k: prepare(method, *samples[k]) for k in needed}
        for pair in pairs:
            yield pair, compare(method, [pair], prepared)[0]
        return
    with _pool(jobs) as pool:
        ready = pool.map(lambda k: prepare(method, *samples[k]), needed)
        prepared = dict(zip(needed, ready, strict=True))
        waiting = chunks(pairs, _CHUNKS * jobs)[::-1]
        running: dict[Future, Sequence[Places]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < 2 * jobs:
                    chunk = waiting.pop()
                    running[pool.submit(compare, method, chunk, prepared)] = chunk
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield from zip(running.pop(future), future.result(), strict=True)
        finally:
            for future in running:
                future.cancel()


@contextmanager
def _pool(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Threads of this call, each held to itself."""
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(jobs, "otdist-pairs", initializer=threads.one_each) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)  # for threads born later, which take what was set last


def on_dask(
    method: Method, samples: Samples, pairs: Sequence[Places], client: Any
) -> Iterator[Answer]:
    """Answers in the order in which the cluster finds them."""
    distributed = require("distributed", extra="dask")
    run = _OnDask(method, samples, client)
    workers = max(sum(client.nthreads().values()), 1)
    running = {run.submit(chunk): (chunk, 1) for chunk in chunks(pairs, _TASKS * workers)}
    finished = distributed.as_completed(running)
    for future in finished:
        chunk, attempt = running.pop(future)
        try:
            yield from zip(chunk, future.result(), strict=True)
        except Exception as error:  # no pair raises: a worker died, or its data were lost
            if attempt == _ATTEMPTS:
                yield from ((pair, failed(f"{type(error).__name__}: {error}")) for pair in chunk)
                continue
            again = run.submit(chunk, fresh=True)
            running[again] = (chunk, attempt + 1)
            finished.add(again)


class _OnDask:
    """Submits chunks, and the samples that they need, each once."""

    def __init__(self, method: Method, samples: Samples, client: Any) -> None:
        self.method, self.samples, self.client = method, samples, client
        self.prepared: dict[int, Any] = {}

    def submit(self, chunk: Sequence[Places], fresh: bool = False) -> Any:
        """The future of a chunk's records; `fresh` prepares its samples again."""
        needed = sorted({k for pair in chunk for k in pair})
        for k in needed:
            if fresh or k not in self.prepared:
                self.prepared[k] = self.client.submit(
                    _alone, prepare, self.method, *self.samples[k], pure=False
                )
        inputs = [self.prepared[k] for k in needed]
        return self.client.submit(_chunk, self.method, list(chunk), needed, inputs, pure=False)


def _chunk(
    method: Method, pairs: list[Places], needed: list[int], inputs: list[Any]
) -> list[Record]:
    """Solve a chunk on a worker of the cluster, which has a thread for every core."""
    return _alone(compare, method, pairs, dict(zip(needed, inputs, strict=True)))


def _alone(function: Callable[..., Any], *args: Any) -> Any:
    """The function with torch and this package held to the calling thread."""
    with threads.threads_for(0):
        return function(*args)
