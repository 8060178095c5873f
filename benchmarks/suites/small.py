"""Small calls of every distance against the bare solvers: what checks, proofs and objects cost.

Normal clouds; weights are drawn from a Dirichlet distribution. A call here takes a fraction of a
millisecond, of which a busy machine takes its share: compare medians of one run only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.adapters import otdist_wasserstein, pot_emd2, scipy_assignment, scipy_line
from benchmarks.case import OURS, Call, Case, Competitor, Inputs, Outcome
from benchmarks.suites.entropic import geomloss_divergence, otdist_divergence, pot_divergence
from benchmarks.suites.sliced import gaussian_clouds, otdist_value, pot_value

SIZES = (16, 32, 64, 128, 200, 256, 300)
LINE = (10, 100, 300, 1000, 10_000)
DIRECTIONS = 50
POINTS = 100
"""Points of both samples of the distances of moments and kernels."""


def cases() -> list[Case]:
    """All cases of the suite."""
    exact = [
        _exact(n, d, p, weighted)
        for n in SIZES for d in (2, 10, 64) for p in (1, 2) for weighted in (False, True)
    ]  # fmt: skip
    line = [_line(n, weighted) for n in LINE for weighted in (False, True)]
    divergence = [_divergence(n, d) for n in (64, 128, 256) for d in (2, 10)]
    kernels = [
        _of_numbers(name, d) for name in ("energy_distance", "mmd", "gaussian") for d in (2, 10)
    ]
    return [*exact, *line, *(_sliced(d) for d in (2, 10)), *divergence, *kernels]


def clouds(seed: int, n: int, d: int, p: float, weighted: bool = False) -> Inputs:
    """Two normal clouds, a third of a unit apart in every coordinate."""
    rng = np.random.default_rng(seed)
    inputs: dict[str, Any] = {"x": rng.normal(size=(n, d)), "y": rng.normal(size=(n, d)) + 0.3}
    if weighted:
        inputs |= {name: rng.dirichlet(np.ones(n)) for name in ("a", "b")}
    return inputs | {"p": p}


def _exact(n: int, d: int, p: float, weighted: bool) -> Case:
    others: dict[str, Competitor] = {} if weighted else {"SciPy assignment": scipy_assignment}
    return Case(
        name="random weights" if weighted else "normal clouds",
        quantity=f"W_{p:g}",
        n=n,
        m=n,
        d=d,
        p=p,
        make=partial(clouds, n=n, d=d, p=p, weighted=weighted),
        competitors={OURS: otdist_wasserstein, "POT emd2": pot_emd2, **others},
        truth=lambda inputs: pot_emd2(inputs)().value,
        quick=(d, p, weighted) == (10, 2, False) and n in (16, 64, 256),
    )


def _line(n: int, weighted: bool) -> Case:
    def make(seed: int) -> Inputs:
        inputs = dict(clouds(seed, n, 1, 1, weighted))
        return inputs | {name: inputs[name].ravel() for name in ("x", "y")}

    return Case(
        name="line, random weights" if weighted else "line",
        quantity="W_1",
        n=n,
        m=n,
        d=1,
        p=1,
        make=make,
        competitors={OURS: otdist_wasserstein, "SciPy": scipy_line},
        truth=lambda inputs: scipy_line(inputs)().value,
        quick=n in (10, 1000) and not weighted,
    )


def _sliced(d: int) -> Case:
    return Case(
        name="normal clouds",
        quantity="SW_2",
        n=POINTS,
        m=POINTS,
        d=d,
        p=2,
        make=partial(gaussian_clouds, n=POINTS, m=POINTS, d=d, count=DIRECTIONS),
        competitors={OURS: otdist_value, "POT": pot_value},
        truth=lambda inputs: pot_value({**inputs, "device": "cpu"})().value,
        parameters={"directions": DIRECTIONS},
        quick=d == 10,
    )


def _divergence(n: int, d: int) -> Case:
    def make(seed: int) -> Inputs:
        inputs = clouds(seed, n, d, 2)
        return {**inputs, "eps": 0.1 * d}

    return Case(
        name="normal clouds",
        quantity="S_eps",
        n=n,
        m=n,
        d=d,
        p=2,
        make=make,
        competitors={
            OURS: otdist_divergence,
            "GeomLoss, scaling 0.9": partial(geomloss_divergence, scaling=0.9),
            "GeomLoss, scaling 0.5": partial(geomloss_divergence, scaling=0.5),
            "POT sinkhorn_log": pot_divergence,
        },
        truth=lambda inputs: otdist_divergence({**inputs, "device": "cpu"})().value,
        parameters={"eps": round(0.1 * d, 1)},
        quick=(n, d) == (64, 10),
    )


def _of_numbers(name: str, d: int) -> Case:
    ours, plain = {
        "energy_distance": (partial(_ours, "energy_distance"), energy),
        "mmd": (partial(_ours, "mmd", bandwidth=1.0), mmd),
        "gaussian": (partial(_ours, "gaussian_wasserstein"), gaussian),
    }[name]
    return Case(
        name="normal clouds",
        quantity=name,
        n=POINTS,
        m=POINTS,
        d=d,
        p=2,
        make=partial(clouds, n=POINTS, d=d, p=2),
        competitors={OURS: ours, "numpy and SciPy": partial(_plain, plain)},
        truth=lambda inputs: plain(inputs["x"], inputs["y"]),
        quick=(name, d) == ("energy_distance", 10),
    )


def _ours(name: str, inputs: Inputs, **options: Any) -> Call:
    import otdist

    function = getattr(otdist, name)
    x, y = inputs["x"], inputs["y"]
    return lambda: Outcome(function(x, y, **options))


def _plain(formula: Callable[[np.ndarray, np.ndarray], float], inputs: Inputs) -> Call:
    x, y = inputs["x"], inputs["y"]
    return lambda: Outcome(formula(x, y))


def energy(x: np.ndarray, y: np.ndarray) -> float:
    """The energy distance by three matrices of distances."""
    from scipy.spatial.distance import cdist

    square = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
    return float(np.sqrt(square))


def mmd(x: np.ndarray, y: np.ndarray) -> float:
    """The distance of mean embeddings, Gaussian of width one, by three matrices."""
    from scipy.spatial.distance import cdist

    def mean(u: np.ndarray, v: np.ndarray) -> float:
        return float(np.exp(-0.5 * cdist(u, v, "sqeuclidean")).mean())

    return float(np.sqrt(mean(x, x) + mean(y, y) - 2 * mean(x, y)))


def gaussian(x: np.ndarray, y: np.ndarray) -> float:
    """Bures and Wasserstein by two symmetric eigenvalue problems."""
    shift = x.mean(0) - y.mean(0)
    cov_x, cov_y = (np.cov(z.T, bias=True) for z in (x, y))
    values, vectors = np.linalg.eigh(cov_x)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ cov_y @ root).clip(min=0)
    spread = np.trace(cov_x) + np.trace(cov_y) - 2 * np.sqrt(mixed).sum()
    return float(np.sqrt(shift @ shift + spread))
