"""Run the experiments: `python -m benchmarks.gan EXPERIMENT…`, rows as JSON, table into the docs.

Rows of an experiment, critic and seed replace earlier ones in the file, so that a run can be
repeated in parts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks import records
from benchmarks.gan import digits, segments, speed, table, toys

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "gan.json"
FIGURES = ROOT / "docs" / "assets"
EXPERIMENTS = ("ring", "grid", "swiss", "digits", "segments", "speed", "pictures", "table")
KEY = ("experiment", "critic", "seed", "theta", "ratio_of", "width")


def rows(name: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The rows of an experiment, each as soon as it is known."""
    short = options.short
    if name in toys.TOYS:
        for seed in options.seeds:
            yield toys.run(name, seed, 50 if short else options.steps)
    elif name == "digits":
        for critic in options.critics:
            for seed in options.seeds:
                yield digits.run(
                    critic, seed, 60 if short else options.steps or 3000, 20 if short else 250
                )
    elif name == "segments":
        yield from segments.run(*((3, 20) if short else ()))
    elif name == "speed":
        yield from speed.run(*((32, 16, 3) if short else (512, 256, 15)))


def main() -> None:
    """Parse the command line, run, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gan", description=__doc__)
    parser.add_argument("experiments", nargs="+", choices=EXPERIMENTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--critics", nargs="+", default=list(digits.RECIPES), choices=digits.RECIPES
    )
    parser.add_argument("--steps", type=int, help="generator steps, instead of the recipe's")
    parser.add_argument("--short", action="store_true", help="seconds: does it run at all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.experiments:
        for row in rows(name, options):
            records.keep(row, options.out, KEY, options.threads)
            print({key: value for key, value in row.items() if key != "checkpoints"}, flush=True)
        if name == "table":
            table.into(ROOT / "docs" / "wgan.md", records.read(options.out))
        if name == "pictures":
            FIGURES.mkdir(parents=True, exist_ok=True)
            segments.picture(segments.run(), FIGURES / "wgan-segments.png")
            digits.picture(FIGURES / "wgan-digits.png", 0, 60 if options.short else 3000, print)


if __name__ == "__main__":
    main()
