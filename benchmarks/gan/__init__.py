"""Training runs whose outcome is known: modes, distances to held-out data, cost of a step.

Rows of an experiment, critic and seed replace earlier ones in the file, so that a run can be
repeated in parts. Those of digits28 with seed 0 draw samples into docs/assets, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import torch
from typer import Option

from benchmarks.experiment import ROOT, Cases, Experiment
from benchmarks.gan import critics, digits, segments, speed, table, toys

FIGURES = ROOT / "docs" / "assets"


@dataclass(frozen=True)
class Settings:
    """Options of the command."""

    seeds: list[int] = field(default_factory=[0, 1, 2].copy)
    critics: list[str] = field(default_factory=list(digits.RECIPES).copy)
    steps: Annotated[int | None, Option(help="Of generators, instead of the recipe's.")] = None
    short: Annotated[bool, Option("--short", help="Seconds of work: does it run at all.")] = False
    threads: Annotated[int, Option(min=1, help="Of torch.")] = 1

    def __post_init__(self) -> None:
        if unknown := set(self.critics) - set(digits.RECIPES):
            raise ValueError(f"critics must be among {', '.join(digits.RECIPES)}: got {unknown}")
        torch.set_num_threads(self.threads)


def _toys(name: str, settings: Settings) -> Cases:
    steps = 50 if settings.short else settings.steps
    for critic in toys.RECIPES:
        for seed in settings.seeds if critic in settings.critics else ():
            known = {"experiment": name, "critic": critic, "seed": seed}
            yield known, partial(toys.run, name, seed, steps, **toys.RECIPES[critic])


def _digits(settings: Settings) -> Cases:
    steps, every = (60, 20) if settings.short else (settings.steps or 3000, 250)
    for critic in settings.critics:
        for seed in settings.seeds:
            known = {"experiment": "digits", "critic": critic, "seed": seed}
            yield known, partial(digits.run, critic, seed, steps, every)


def _digits28(settings: Settings) -> Cases:
    for critic in settings.critics:
        steps = settings.steps or digits.LARGE_STEPS.get(critic, 2000)
        steps, every = (20, 10) if settings.short else (steps, 250)
        for seed in settings.seeds:
            known = {"experiment": "digits28", "critic": critic, "seed": seed}
            shown = seed == 0 and settings.steps is None and not settings.short
            path = FIGURES / f"wgan-digits28-{critic}.png" if shown else None
            yield known, partial(digits.run, critic, seed, steps, every, digits.LARGE, path)


def _critics(settings: Settings) -> Cases:
    steps = 3 if settings.short else settings.steps or critics.STEPS
    for name in critics.CRITICS:
        for seed in settings.seeds:
            known = {"experiment": "critics", "critic": name, "seed": seed}
            yield known, partial(critics.run, name, seed, steps)


def _segments(settings: Settings) -> Cases:
    for theta, measured in segments.cases(*((3, 20) if settings.short else ())):
        yield {"experiment": "segments", "theta": theta}, measured


def _speed(settings: Settings) -> Cases:
    width, batch, rounds = (32, 16, 3) if settings.short else (512, 256, 15)
    for name in speed.RATIOS:
        known = {"experiment": "speed", "ratio_of": name, "width": width, "batch": batch}
        yield known, partial(speed.run, name, width, batch, rounds)


def _pictures(settings: Settings) -> None:
    FIGURES.mkdir(parents=True, exist_ok=True)
    rows = [{"theta": theta, **measured()} for theta, measured in segments.cases()]
    segments.picture(rows, FIGURES / "wgan-segments.png")
    digits.picture(FIGURES / "wgan-digits.png", 0, 60 if settings.short else 3000, print)


EXPERIMENT = Experiment(
    "gan",
    __doc__ or "",
    Settings,
    {
        **{name: partial(_toys, name) for name in toys.TOYS},
        "digits": _digits,
        "digits28": _digits28,
        "critics": _critics,
        "segments": _segments,
        "speed": _speed,
    },
    ("experiment", "critic", "seed", "theta", "ratio_of", "width"),
    ROOT / "docs" / "wgan.md",
    {"table of benchmarks/gan": table.render},
    _pictures,
    threads=lambda settings: settings.threads,
)
