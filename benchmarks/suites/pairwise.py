"""All distances between many samples against a plain loop over `ot.emd2` in one process.

Forty samples of 500 points in eight dimensions are 780 exact problems, a sample of the 19,900 that
two hundred make: every pair costs the same, so the ratios carry over. The value is the mean
distance. Threads of the run are the workers of "otdist"; "otdist, 1 thread" is one of them, and
"otdist, Dask" as many processes. What these hold is not in the memory.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.case import OURS, Call, Case, Competitor, Inputs, Outcome

KEEP_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": 2**28,
    "MALLOC_MMAP_THRESHOLD_": 2**28,
    "OMP_NUM_THREADS": 1,
    "MKL_NUM_THREADS": 1,
    "OPENBLAS_NUM_THREADS": 1,
}


def cases() -> list[Case]:
    """Exact distances, and sliced ones, whose projections are shared."""
    exact: dict[str, Competitor] = {
        OURS: _ours,
        "otdist, 1 thread": partial(_ours, n_jobs=1),
        "otdist, Dask": _on_dask,
        "POT emd2 loop": _loop,
    }
    sliced: dict[str, Competitor] = {
        OURS: partial(_ours, distance="sliced_wasserstein"),
        "otdist loop": _sliced_loop,
        "POT loop": _pot_sliced_loop,
    }
    return [
        _case("W_1", 12, exact, quick=True),
        _case("W_1", 40, exact),
        _case("SW_2", 40, sliced, p=2),
    ]


def samples(count: int, n: int, d: int, p: float, seed: int) -> Inputs:
    """Normal clouds around means of their own."""
    rng = np.random.default_rng(seed)
    drawn = [rng.normal(size=(n, d)) + 0.3 * rng.normal(size=d) for _ in range(count)]
    return {"samples": drawn, "p": p}


def _case(
    quantity: str, count: int, competitors: dict[str, Competitor], p: float = 1, quick: bool = False
) -> Case:
    n, d = 500, 8
    return Case(
        name="all pairs",
        quantity=f"mean {quantity}",
        n=n,
        m=n,
        d=d,
        p=p,
        make=partial(samples, count, n, d, p),
        competitors=competitors,
        parameters={"samples": count},
        quick=quick,
    )


def _ours(inputs: Inputs, distance: str = "wasserstein", **options: Any) -> Call:
    import otdist

    function = getattr(otdist, distance)
    otdist.pairwise(inputs["samples"][:3], distance=function, **options)  # imports and threads

    def call() -> Outcome:
        found = otdist.pairwise(inputs["samples"], distance=function, p=inputs["p"], **options)
        return Outcome(_mean(found.matrix), _mean(found.lower), _mean(found.upper))

    if distance == "wasserstein":
        return call
    return lambda: Outcome(call().value)  # an average over slices bounds nothing by itself


def _on_dask(inputs: Inputs) -> Call:
    import torch
    from dask import config
    from distributed import Client, LocalCluster

    # Dask's workers hand every freed block back to the system: the same problem takes 19 ms there
    # instead of 13 unless they are told to keep them.
    config.set({"distributed.nanny.pre-spawn-environ": KEEP_MEMORY})
    workers = torch.get_num_threads()
    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0")
    client = Client(cluster)
    atexit.register(cluster.close)
    atexit.register(client.close)
    return _ours(inputs, client=client)


def _all_pairs(inputs: Inputs, distance: Callable[[Any, Any], float]) -> Outcome:
    x = inputs["samples"]
    values = [distance(x[i], x[j]) for i in range(len(x)) for j in range(i)]
    return Outcome(float(np.mean(values)))


def _loop(inputs: Inputs) -> Call:
    import ot

    uniform = ot.unif(len(inputs["samples"][0]))

    def distance(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.asarray(ot.emd2(uniform, uniform, ot.dist(x, y, "euclidean"))))

    return lambda: _all_pairs(inputs, distance)


def _sliced_loop(inputs: Inputs) -> Call:
    import otdist

    p = inputs["p"]
    return lambda: _all_pairs(inputs, lambda x, y: float(otdist.sliced_wasserstein(x, y, p=p)))


def _pot_sliced_loop(inputs: Inputs) -> Call:
    import ot

    def distance(x: np.ndarray, y: np.ndarray) -> float:
        value = ot.sliced_wasserstein_distance(x, y, n_projections=256, p=inputs["p"], seed=0)
        return float(np.asarray(value))

    return lambda: _all_pairs(inputs, distance)


def _mean(matrix: np.ndarray) -> float:
    return float(matrix[np.triu_indices(len(matrix), 1)].mean())
