"""W_2 and its map by convex potentials, on pairs that know both.

- *normal*: two normal laws with random covariances; W_2 is Bures', the map affine.
- *convex gradient*: a normal law and its image by ∇ψ, ψ(x) = ‖x‖²/4 + 2 log Σ exp(⟨A_k, x⟩ + c_k):
  the construction of Korotin et al. (2021), Do neural optimal transport solvers work?

The figure of a map is the variance it leaves unexplained, E‖T(x) − T*(x)‖² / Var y. Beside it stand
the affine map between the moments, which training starts from, and exact transport of samples.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from benchmarks.experiment import Cases
from benchmarks.neural.pairs import FRESH, Array
from benchmarks.records import Row

POINTS = 20_000
EXACT = 4000
FEW, STRENGTH = 2000, 0.02
"""Points of either sample whose plans are extended, and eps as a share of their mean cost."""
SIZES = (2, 8, 32)
KINDS = ("normal", "convex gradient")


def cases(seeds: Sequence[int], budget: float) -> Cases:
    """One row a pair and seed."""
    for seed in seeds:
        for kind in KINDS:
            for d in SIZES:
                key = {"experiment": "squared", "pair": kind, "d": d, "seed": seed}
                yield {**key, "budget": budget}, partial(run, kind, d, seed, budget)


def run(kind: str, d: int, seed: int, budget: float) -> Row:
    """Fit, and compare with the truth."""
    import torch

    from otdist.critics import ConvexDual
    from otdist.critics.convex import normal_map
    from otdist.distances import wasserstein

    draw, move = law(kind, d, seed)
    rng = np.random.default_rng([seed, d, 1])
    x, y, at = draw(POINTS, rng), move(draw(POINTS, rng)), draw(FRESH, rng)
    many = draw(2**18, rng)
    truth = float(np.sqrt(np.square(move(many) - many).sum(1).mean()))
    begin = time.process_time()
    result = ConvexDual(steps=10**9, seconds=budget, seed=seed).fit(x, y)
    seconds = time.process_time() - begin
    hessian, shift = (h.numpy() for h in normal_map(torch.from_numpy(x), torch.from_numpy(y)))
    exact = float(wasserstein(x[:EXACT], y[:EXACT], p=2).distance)
    assert result.lower is not None
    spread = y.var(0).sum()

    def unexplained(images: Array) -> float:
        return float(np.square(images - move(at)).sum(1).mean() / spread)

    return {
        "truth": round(truth, 6),
        "estimate": round(result.estimate, 5),
        "lower": round(result.lower, 5),
        "exact": round(exact, 5),
        "unexplained": round(unexplained(result.transport(at)), 5),
        "unexplained_affine": round(unexplained(at @ hessian + shift), 5),
        "seconds": round(seconds, 2),
    }


def maps(seeds: Sequence[int]) -> Cases:
    """One row a pair and seed: maps of discrete plans at points that they have not seen."""
    for seed in seeds:
        for kind in KINDS:
            for d in SIZES:
                key = {"experiment": "maps", "pair": kind, "d": d, "seed": seed}
                yield key, partial(_extended, kind, d, seed)


def _extended(kind: str, d: int, seed: int) -> Row:
    from otdist.distances import entropic_cost, wasserstein
    from otdist.transport_map import barycentric_map

    draw, move = law(kind, d, seed)
    rng = np.random.default_rng([seed, d, 1])
    x, y, at = draw(FEW, rng), move(draw(FEW, rng)), draw(FRESH, rng)
    spread = y.var(0).sum()
    mean_cost = np.square(x - x.mean(0)).sum(1).mean() + np.square(y - x.mean(0)).sum(1).mean()
    found: Row = {}
    for name, solve in (
        ("nearest", partial(wasserstein, p=2)),
        ("entropic", partial(entropic_cost, p=2, eps=STRENGTH * mean_cost, tol=1e-3)),
    ):
        begin = time.process_time()
        images = barycentric_map(solve(x, y), y, at)
        found[f"{name}_seconds"] = round(time.process_time() - begin, 2)
        found[name] = round(float(np.square(images - move(at)).sum(1).mean() / spread), 5)
    return found


def law(
    kind: str, d: int, seed: int
) -> tuple[Callable[[int, np.random.Generator], Array], Callable[[Array], Array]]:
    """How to draw from the first law, and the optimal map to the second."""
    rng = np.random.default_rng([seed, d])

    def draw(n: int, rng: np.random.Generator) -> Array:
        return rng.standard_normal((n, d))

    if kind == "normal":
        factor = rng.standard_normal((d, d)) / np.sqrt(d)
        matrix, mean = factor @ factor.T + 0.2 * np.eye(d), rng.standard_normal(d)
        return draw, lambda x: x @ matrix + mean
    rows, offsets = rng.standard_normal((8, d)), rng.standard_normal(8)

    def move(x: Array) -> Array:
        logits = x @ rows.T + offsets
        shares = np.exp(logits - logits.max(1, keepdims=True))
        return 0.5 * x + 2 * (shares / shares.sum(1, keepdims=True)) @ rows

    return draw, move
