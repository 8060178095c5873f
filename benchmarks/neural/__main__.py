"""`python -m benchmarks.neural EXPERIMENT…`: rows as JSON, tables into docs/neural.md.

    ray           ray-monotone pairs: estimate / W_1, limit / W_1, cosine, for every method
    others        pairs outside the funnels' class, and some more inside
    rates         learning rates of funnels, on seeds of their own
    squared       W_2 and its map by convex potentials
    certificates  how often brackets and limits hold
    table         write the tables

A row that the file holds already, with the same budget, is not run again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import records
from benchmarks.neural import certificates, squared, table
from benchmarks.neural.methods import BUDGET, METHODS, Method, critic
from benchmarks.neural.pairs import OTHERS, Pair, ray_monotone

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "neural.json"
EXPERIMENTS = ("ray", "others", "rates", "squared", "certificates", "table")
SHORT = {16: 4.0, 4: 4.0}
"""CPU seconds of one fit to ray-monotone pairs of so many funnels, instead of `BUDGET`."""
KEY = ("experiment", "pair", "d", "funnels", "seed", "method", "rate", "budget")

Row = dict[str, Any]
Run = tuple[Row, Callable[[], Row]]
"""What identifies a row, and what fills it."""


def ray(options: argparse.Namespace) -> Iterator[Run]:
    """Every method on every ray-monotone pair."""
    for funnels in options.funnels:
        budget = options.budget or SHORT.get(funnels, BUDGET)
        for seed in options.seeds:
            for d in options.dimensions:
                key = {"experiment": "ray", "d": d, "funnels": funnels, "seed": seed}
                make = partial(ray_monotone, d, funnels, seed)
                yield from _methods(key, make, options.methods, budget)


def others(options: argparse.Namespace) -> Iterator[Run]:
    """Every method on every other pair."""
    for seed in options.seeds:
        for name, (d, law) in OTHERS.items():
            key = {"experiment": "others", "pair": name, "d": d, "seed": seed}
            make = partial(law, d, seed)
            yield from _methods(key, make, options.methods, options.budget or BUDGET)


def rates(options: argparse.Namespace) -> Iterator[Run]:
    """Funnels at several learning rates; seeds from 100 on, which no other table shows."""
    for seed in (100, 101):
        for d in options.dimensions:
            pair = cache(partial(ray_monotone, d, 64, seed))
            for rate in options.rates:
                key = {"experiment": "rates", "d": d, "funnels": 64, "seed": seed, "rate": rate}
                yield key, partial(_funnels, pair, rate)


def _funnels(pair: Callable[[], Pair], rate: float) -> Row:
    made = pair()
    return _row(made, critic(made, None, 0, critic="peaks", steps=1000, learning_rate=rate))


def _methods(
    key: Row, make: Callable[[], Pair], methods: Sequence[str], budget: float
) -> Iterator[Run]:
    """One row a method; the pair is made when the first of them is run."""
    pair = cache(make)
    for method in methods:
        run = partial(_figures, pair, METHODS[method], budget, key["seed"])
        yield {**key, "method": method, "budget": budget}, run


def _figures(pair: Callable[[], Pair], method: Method, budget: float, seed: int) -> Row:
    made = pair()
    return _row(made, method(made, budget, seed))


def _row(pair: Pair, figures: Any) -> Row:
    rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(figures).items()}
    return {"truth": round(pair.truth, 6), **rounded}


RUNS: dict[str, Callable[[argparse.Namespace], Iterator[Run]]] = {
    "ray": ray,
    "others": others,
    "rates": rates,
    "squared": squared.runs,
    "certificates": certificates.runs,
}


def main() -> None:
    """Parse the command line, run what is missing, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.neural",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiments", nargs="+", choices=EXPERIMENTS)
    parser.add_argument("--budget", type=float, help="CPU seconds of one fit; 4 to 8 without")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--funnels", type=int, nargs="+", default=[64, 16, 4])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[2, 8, 16, 32, 64, 128])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.003, 0.01, 0.03, 0.1, 0.3])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.experiments:
        if name == "table":
            table.into(ROOT / "docs" / "neural.md", records.read(options.out))
            continue
        done = {records.identity(row, KEY) for row in records.read(options.out)}
        for key, fill in RUNS[name](options):
            if records.identity(key, KEY) not in done:
                row = {**key, **fill()}
                records.keep(row, options.out, KEY, threads=1)
                print(row, flush=True)


if __name__ == "__main__":
    main()
