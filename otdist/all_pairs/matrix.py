"""`pairwise`: the matrix of distances between many samples."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from otdist import metrics
from otdist.all_pairs import engines
from otdist.all_pairs.store import Store, function_digest, pair_key, sample_digest
from otdist.all_pairs.work import Calls, Method, Places, Record, SharedSlices
from otdist.core import checks, frames, measure
from otdist.core.progress import progress
from otdist.core.result import warn_caller
from otdist.core.shown import Shown
from otdist.core.threads import thread_count
from otdist.distances import wasserstein
from otdist.sliced.sliced import choose
from otdist.sliced_distances import sliced_wasserstein
from otdist.solve import Solver, check_solver

SHARED_BYTES = 2**31
"""Sorted projections that may be held at once; above, every pair of samples is projected anew."""


@dataclass(frozen=True, repr=False, eq=False)
class PairwiseResult(Shown):
    """Distances between all pairs of samples; numpy takes it for the matrix.

    Attributes:
        matrix: Shape (k, k), float64, symmetric, 0 on the diagonal, NaN where a pair failed; or
            (k, l) between two lists.
        lower: Certified lower bounds; NaN where the distance proves none, and 0 on the diagonal.
        upper: Certified upper bounds, likewise.
        failures: (i, j) → why that pair failed, i < j in one list.
        unconverged: Pairs whose solver stopped early; their brackets are valid.
        reused: How many pairs came from the cache.
        seconds: Wall-clock time.

    >>> import otdist
    >>> result = otdist.pairwise([[0.0, 1.0], [2.0, 3.0], [5.0, 6.0]])
    >>> result[0].tolist(), result.failures
    ([0.0, 2.0, 5.0], {})
    """

    matrix: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    failures: dict[Places, str]
    unconverged: list[Places]
    reused: int
    seconds: float
    _cross: bool = False

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.matrix, dtype=dtype, copy=copy)

    def __getitem__(self, index: Any) -> Any:
        return self.matrix[index]

    def __len__(self) -> int:
        return len(self.matrix)

    @property
    def shape(self) -> tuple[int, int]:
        """(k, k), or (k, l) between two lists."""
        return (self.matrix.shape[0], self.matrix.shape[1])

    def __repr__(self) -> str:
        k, width = self.shape
        names = f"{k} by {width} samples" if self._cross else f"{k} samples"
        count = k * width if self._cross else k * (k - 1) // 2
        parts = [names, f"{count:,} pairs", f"{self.seconds:.1f} s"]
        for count, word in (
            (self.reused, "from the cache"),
            (len(self.unconverged), "not converged"),
            (len(self.failures), "failed"),
        ):
            parts += [f"{count:,} {word}"] if count else []
        return f"PairwiseResult({', '.join(parts)})"


def pairwise(
    samples: Sequence[Any],
    others: Sequence[Any] | None = None,
    *,
    weights: Sequence[Any] | None = None,
    other_weights: Sequence[Any] | None = None,
    distance: Callable[..., Any] = wasserstein,
    p: float | None = None,
    solver: Solver | None = None,
    metric: Any = None,
    n_jobs: int | None = None,
    client: Any = None,
    cache: str | os.PathLike | None = None,
) -> PairwiseResult:
    r"""All distances between many samples, or from one list to another: in parallel, resumable.

    Args:
        samples: k samples, each as `distance` takes it: shape (n_i, d), or (n_i,) on the line.
        others: l more samples: the distance of each of `samples` to each of these, shape (k, l).
            None compares `samples` among themselves, every pair once.
        weights: k weight vectors, each of shape (n_i,) or None for uniform; None is all uniform.
        other_weights: l weight vectors of `others`, likewise.
        distance: A symmetric function of two samples: `wasserstein`, `sliced_wasserstein`,
            `gaussian_wasserstein`, `energy_distance`, …, your own, or a `functools.partial` with
            options. It takes ``a=`` and ``b=`` where weights are given, and returns a number or a
            result of this package. For `sliced_wasserstein` every sample is projected and sorted
            once, and all pairs share their directions.
        p: Exponent, passed on; None leaves the default of `distance`, which is 1.
        solver: Passed on to `wasserstein`; None is exact.
        metric: Ground distance, passed on; None leaves the default of `distance`.
        n_jobs: Threads; None takes as many as torch does. One per pair: within a pair nothing is
            parallel, except for n_jobs=1.
        client: A `distributed.Client`, whose workers compute instead of threads; many
            small problems gain more from its processes than from threads, on one machine too.
        cache: A folder that keeps finished pairs, found by the content of samples and options: run
            the same call again after a kill, or with more samples, and only the rest is computed.

    Returns:
        The matrix, bounds where `distance` certifies them, and what failed. A pair that fails (NaN
        in a sample, no memory) is NaN in the matrix; all others are kept.

    Raises:
        TypeError: `samples` is no sequence of samples; an option that `distance` does not take.
        ValueError: fewer than one sample, lengths that differ, other_weights alone, n_jobs < 1,
            n_jobs with client, a cache with a function or options that a later run could not
            recognise.
        ImportError: client without the extra "dask".

    Warns:
        UserWarning: pairs failed, or did not converge; with the first reason.

    Gradients: none; the matrix is NumPy's whatever the samples are.
    Cost: k(k − 1)/2 calls, or k·l; for `sliced_wasserstein` a sort of all projections of every
        sample, and as many reads.

    >>> import otdist
    >>> samples = [[[0.0, 0.0]], [[3.0, 4.0]], [[3.0, 0.0]]]
    >>> otdist.pairwise(samples).matrix.tolist()
    [[0.0, 5.0, 3.0], [5.0, 0.0, 4.0], [3.0, 4.0, 0.0]]
    >>> otdist.pairwise(samples[:1], samples[1:]).matrix.tolist()
    [[5.0, 3.0]]
    """
    begin = time.perf_counter()
    items = _items("samples", samples, "weights", weights)
    k = len(items)
    if others is None and other_weights is not None:
        raise ValueError("other_weights are the weights of others: pass others as well")
    items += [] if others is None else _items("others", others, "other_weights", other_weights)
    options = _options(distance, p, solver, metric)
    jobs = _jobs(n_jobs, client)
    checks.optional(checks.instance, "cache", cache, kind=(str, os.PathLike), what="a folder")
    method = _method(distance, options, items)
    cross = None if others is None else len(items) - k
    pairs = list(combinations(range(k), 2)) if cross is None else _across(k, cross)
    table = _Table(k, cross)
    with Store(cache) if cache is not None else nullcontext() as store:
        keys = {} if store is None else _keys(pairs, items, function_digest(distance, options))
        known = {} if store is None else store.known
        todo = [pair for pair in pairs if keys.get(pair) not in known]
        for pair in set(pairs) - set(todo):
            table.set(pair, known[keys[pair]])
        if client is None:
            answers = engines.in_threads(method, items, todo, jobs)
        else:
            answers = engines.on_dask(method, items, todo, client)
        for pair, record in _shown(answers, len(todo)):
            table.set(pair, record)
            if store is not None and record.error is None and keys[pair]:
                store.add(keys[pair], record)
    return table.result(len(pairs) - len(todo), time.perf_counter() - begin)


class _Table:
    """The matrices while they fill: of k samples, or of k against others, which come after them."""

    def __init__(self, k: int, others: int | None) -> None:
        self.k, self.others = k, others
        shape = (k, k if others is None else others)
        self.distance, self.lower, self.upper = (np.zeros(shape) for _ in range(3))
        self.failures: dict[Places, str] = {}
        self.unconverged: list[Places] = []

    def set(self, pair: Places, record: Record) -> None:
        if self.others is not None:
            pair = pair[0], pair[1] - self.k
        for at in (pair, pair[::-1]) if self.others is None else (pair,):
            self.distance[at] = record.distance
            self.lower[at], self.upper[at] = record.lower, record.upper
        if record.error is not None:
            self.failures[pair] = record.error
        elif not record.converged:
            self.unconverged.append(pair)

    def result(self, reused: int, seconds: float) -> PairwiseResult:
        """The result; warns of what failed or stopped early."""
        failures = dict(sorted(self.failures.items()))
        if failures:
            (i, j), reason = next(iter(failures.items()))
            _warn(f"{len(failures)} pairs failed and are NaN; the first, {i} and {j}: {reason}")
        if self.unconverged:
            i, j = min(self.unconverged)
            _warn(f"{len(self.unconverged)} pairs did not converge; the first is {i} and {j}")
        return PairwiseResult(
            self.distance,
            self.lower,
            self.upper,
            failures,
            sorted(self.unconverged),
            reused,
            seconds,
            self.others is not None,
        )


def _across(k: int, others: int) -> list[Places]:
    """Each of k samples with each of the others, which come after them."""
    return [(i, k + j) for i in range(k) for j in range(others)]


def _warn(message: str) -> None:
    warn_caller(message, UserWarning)


def _items(
    name: str, samples: Sequence[Any], of: str, weights: Sequence[Any] | None
) -> list[tuple[Any, Any]]:
    """Samples with their weights; `name` and `of` are what the caller knows them by."""
    sized = hasattr(samples, "__len__") and getattr(samples, "ndim", 1) != 0
    if isinstance(samples, (str, bytes, dict)) or not sized:
        raise TypeError(f"{name} must be a sequence of samples: got a {type(samples).__name__}")
    if len(samples) < 1:
        raise ValueError(f"{name} must hold at least one sample: got none")
    chosen = [None] * len(samples) if weights is None else list(weights)
    if len(chosen) != len(samples):
        raise ValueError(
            f"{of} must hold one vector (or None) per sample: got {len(chosen)} for "
            f"{len(samples)} samples"
        )
    return list(zip(samples, chosen, strict=True))


def _options(distance: Any, p: float | None, solver: Any, metric: Any) -> dict[str, Any]:
    """The options to pass on; raises where `distance` does not take them."""
    checks.function("distance", distance)
    options = {} if p is None else {"p": checks.exponent(p, infinite=True)}
    options |= {} if solver is None else {"solver": check_solver(solver)}
    metrics.named(metric)
    options |= {} if metric is None else {"metric": metric}
    try:
        known = inspect.signature(distance).parameters
    except ValueError:  # a compiled function does not say
        return options
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        for name in options:
            if name not in known:
                raise TypeError(f"{name} is not an option of the distance {distance!r}")
    return options


def _jobs(n_jobs: int | None, client: Any) -> int:
    if client is not None and n_jobs is not None:
        raise ValueError("pass n_jobs or client, not both: the client has its own workers")
    if client is not None and not hasattr(client, "nthreads"):
        raise TypeError(f"client must be a distributed.Client: got {checks.shown(client)}")
    if n_jobs is None:
        return thread_count()
    return checks.whole("n_jobs", n_jobs)


def _method(distance: Any, options: dict[str, Any], items: list[tuple[Any, Any]]) -> Method:
    """Shared slices where they apply and fit into memory; otherwise a call for every pair."""
    chosen, function = dict(options), distance
    while isinstance(function, partial) and not function.args:
        chosen = {**function.keywords, **chosen}
        function = function.func
    calls = Calls(partial(distance, **options) if options else distance)
    if function is not sliced_wasserstein or {"a", "b", "stderr_rtol"} & set(chosen):
        return calls
    frame = _frame(items)
    try:
        columns = frames.first_columns({f"sample {k}": s for k, (s, _) in enumerate(items)})
    except ValueError:  # the pairs that it concerns will say so
        return calls
    if frame is None:
        return calls
    rng = checks.generator(chosen.get("seed", 0))
    wanted = (chosen.get("directions"), chosen.get("n_projections"))
    rows = choose(*wanted, len(frame.centre), rng).rows
    sizes = sum(len(sample) * (1 if w is None else 2) for sample, w in items)
    if sizes * len(rows) * 8 > SHARED_BYTES:
        return calls
    p = checks.exponent(chosen.get("p", 1))
    return SharedSlices(p, rows, frame.centre.cpu(), frame.scale, columns, calls)


def _frame(items: list[tuple[Any, Any]]) -> measure.SamplePair | None:
    """Centre and scale of the first sample that is one; None where none is."""
    for sample, _ in items:
        try:
            return measure.pair(sample, sample)
        except (TypeError, ValueError):
            continue
    return None


def _keys(pairs: list[Places], items: list[tuple[Any, Any]], function: str) -> dict[Places, str]:
    """The key of every pair; empty where a sample has none, which will fail anyway."""
    digests = []
    for sample, weights in items:
        try:
            plain = [
                s if hasattr(s, "dtype") or s is None else np.asarray(s) for s in (sample, weights)
            ]
            digests.append(sample_digest(*plain))
        except ValueError:
            digests.append("")
    return {
        (i, j): pair_key(function, digests[i], digests[j]) if digests[i] and digests[j] else ""
        for i, j in pairs
    }


def _shown(answers: Iterator[engines.Answer], total: int) -> Iterator[engines.Answer]:
    """The same answers, counted on a terminal."""
    with progress("pairs", total=total) as say:
        for done, answer in enumerate(answers, 1):
            say("solved", done)
            yield answer
