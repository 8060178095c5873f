"""Critics on pairs whose W_1, W_2 and optimal slopes are known.

ray             ray-monotone pairs: estimate / W_1, limit / W_1, cosine, for every method
others          pairs outside the funnels' class, and some more inside
rates           learning rates of funnels, on seeds of their own
numbers         256 funnels, and the number that "auto" chooses, from few points
squared         W_2 and its map by convex potentials
maps            the maps of discrete plans at new points, on the same pairs
certificates    how often brackets and limits hold
regularisation  what might keep critics from overfitting, on pairs of its own
folds           limits from all points beside one split, and how often they hold

A row that the file holds already, with the same budget, is not run again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from typing import Annotated, Any

import torch
from typer import Option

from benchmarks.experiment import ROOT, Cases, Experiment
from benchmarks.neural import certificates, folds, regularisation, squared, table
from benchmarks.neural.methods import BUDGET, METHODS, Method, critic
from benchmarks.neural.pairs import OTHERS, KnownPair, ray_monotone, translated
from benchmarks.records import Row

FEW = 12_000
"""Points of either distribution from which numbers of funnels are compared."""
NUMBERS = {
    (16, 64): partial(ray_monotone, 16, 64),
    (64, 16): partial(ray_monotone, 64, 16),
    (64, 64): partial(ray_monotone, 64, 64),
    (128, 16): partial(ray_monotone, 128, 16),
    (64, 0): partial(translated, 64),
}
"""Pairs by dimension and funnels; 0: translated."""
SHORT = {16: 4.0, 4: 4.0}
"""CPU seconds of one fit to ray-monotone pairs of so many funnels, instead of `BUDGET`."""


@dataclass(frozen=True)
class Settings:
    """Options of the command."""

    budget: Annotated[float | None, Option(help="CPU seconds of one fit; 4 to 8 without.")] = None
    seeds: list[int] = field(default_factory=[0, 1, 2].copy)
    funnels: list[int] = field(default_factory=[64, 16, 4].copy)
    dimensions: list[int] = field(default_factory=[2, 8, 16, 32, 64, 128].copy)
    rates: list[float] = field(default_factory=[0.003, 0.01, 0.03, 0.1, 0.3].copy)
    methods: list[str] = field(default_factory=list(METHODS).copy)

    def __post_init__(self) -> None:
        if unknown := set(self.methods) - set(METHODS):
            raise ValueError(f"methods must be among {', '.join(METHODS)}: got {unknown}")
        torch.set_num_threads(1)


def ray(settings: Settings) -> Cases:
    """Every method on every ray-monotone pair."""
    for funnels in settings.funnels:
        budget = settings.budget or SHORT.get(funnels, BUDGET)
        for seed in settings.seeds:
            for d in settings.dimensions:
                known = {"experiment": "ray", "d": d, "funnels": funnels, "seed": seed}
                make = partial(ray_monotone, d, funnels, seed)
                yield from _methods(known, make, settings.methods, budget)


def others(settings: Settings) -> Cases:
    """Every method on every other pair."""
    for seed in settings.seeds:
        for name, (d, law) in OTHERS.items():
            known = {"experiment": "others", "pair": name, "d": d, "seed": seed}
            budget = settings.budget or BUDGET
            yield from _methods(known, partial(law, d, seed), settings.methods, budget)


def rates(settings: Settings) -> Cases:
    """Funnels at several learning rates; seeds from 100 on, which no other table shows."""
    for seed in (100, 101):
        for d in settings.dimensions:
            pair = cache(partial(ray_monotone, d, 64, seed))
            for rate in settings.rates:
                known = {"experiment": "rates", "d": d, "funnels": 64, "seed": seed, "rate": rate}
                yield known, partial(_funnels, pair, rate)


def _funnels(pair: Callable[[], KnownPair], rate: float) -> Row:
    made = pair()
    return _row(made, critic(made, None, 0, critic="peaks", steps=1000, learning_rate=rate))


def numbers(settings: Settings) -> Cases:
    """Funnels of the default call from few points, beside 256 of them, in steps and not seconds."""
    for (d, funnels), law in NUMBERS.items():
        for seed in settings.seeds:
            pair = cache(partial(_few, law, seed))
            for method in ("peaks", "auto"):
                known = {"experiment": "numbers", "d": d, "funnels": funnels, "seed": seed}
                yield {**known, "method": method}, partial(_in_steps, pair, method, seed)


def _few(law: Callable[[int], KnownPair], seed: int) -> KnownPair:
    made = law(seed)
    return replace(made, x=made.x[:FEW], y=made.y[:FEW])


def _in_steps(pair: Callable[[], KnownPair], method: str, seed: int) -> Row:
    made = pair()
    return _row(made, critic(made, None, seed, critic=method, steps=1500))


def _methods(
    known: Row, make: Callable[[], KnownPair], methods: Sequence[str], budget: float
) -> Cases:
    """One row a method; the pair is made when the first of them is run."""
    pair = cache(make)
    for method in methods:
        run = partial(_figures, pair, METHODS[method], budget, known["seed"])
        yield {**known, "method": method, "budget": budget}, run


def _figures(pair: Callable[[], KnownPair], method: Method, budget: float, seed: int) -> Row:
    made = pair()
    return _row(made, method(made, budget, seed))


def _row(pair: KnownPair, figures: Any) -> Row:
    rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(figures).items()}
    return {"truth": round(pair.truth, 6), **rounded}


EXPERIMENT = Experiment(
    "neural",
    __doc__ or "",
    Settings,
    {
        "ray": ray,
        "others": others,
        "rates": rates,
        "numbers": numbers,
        "squared": lambda settings: squared.cases(settings.seeds, settings.budget or BUDGET),
        "maps": lambda settings: squared.maps(settings.seeds),
        "certificates": lambda settings: certificates.cases(),
        "regularisation": lambda settings: regularisation.cases(settings.seeds),
        "folds": lambda settings: [*folds.gains(settings.seeds), *folds.coverage()],
    },
    ("experiment", "pair", "d", "funnels", "seed", "method", "rate", "budget", "n", "folds"),
    ROOT / "docs" / "neural.md",
    table.TABLES,
    repeats=False,
    threads=lambda settings: 1,
)
