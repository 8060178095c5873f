"""One command for a machine with a CUDA device: is it right there, and then, how fast.

`python -m benchmarks device` runs every test marked `gpu` first, and stops where one fails. Then it
measures S_eps, the gradient of slices, a pricing pass and exact transport of 50,000 points on the
device, beside GeomLoss (KeOps), flash-sinkhorn, POT and torch where they are installed, within ten
minutes. Without a device it says so and measures nothing.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import machine
from benchmarks.adapters import otdist_wasserstein, tensors
from benchmarks.case import OURS, Call, Case, Competitor, Inputs, Outcome
from benchmarks.harness import Settings
from benchmarks.suites import entropic, exact, sliced

SUITE = "benchmarks.device"
ROOT = Path(__file__).parents[1]
OUT = Path("out/device")
SIZES = (5000, 20_000, 100_000)
DENSE = 20_000
"""Points up to which a matrix of all pairs fits beside others on the device."""
SECONDS = {"tests": 240, "call": 30.0, "cases": 240}
"""Bounds of the tests, of one call, and after which no other case begins."""


def cases() -> list[Case]:
    """The divergence at three sizes, the gradient of slices, pricing, exact transport."""
    gradient = next(case for case in sliced.cases() if "backward" in case.name)
    pricing: dict[str, Competitor] = {OURS: otdist_pricing, "torch, dense": torch_pricing}
    return [
        *(_divergence(n) for n in SIZES),
        gradient,
        _clouds("pricing pass", "", 20_000, pricing),
        _clouds("normal clouds", "W_2", 50_000, {OURS: otdist_wasserstein}),
    ]


def _clouds(name: str, quantity: str, n: int, competitors: dict[str, Competitor]) -> Case:
    return Case(
        name=name,
        quantity=quantity,
        n=n,
        m=n,
        d=10,
        p=2,
        make=partial(exact.clouds, n, 10, 2.0),
        competitors=competitors,
        limit=150.0 if quantity else 0.0,
    )


def _divergence(n: int) -> Case:
    slow = partial(entropic.geomloss_divergence, scaling=0.9)
    competitors: dict[str, Competitor] = {
        OURS: entropic.otdist_divergence,
        "GeomLoss, KeOps": partial(slow, backend="online"),
        "flash-sinkhorn": flash_divergence,
    }
    if n <= DENSE:
        competitors["GeomLoss, dense"] = slow
    return Case(
        name="unit cube",
        quantity="S_eps",
        n=n,
        m=n,
        d=3,
        p=2,
        make=partial(entropic.cube, n, 3),
        competitors=competitors,
        truth=converged if n <= DENSE else None,
        parameters={"eps": entropic.EPS},
    )


def converged(inputs: Inputs) -> float:
    """S_eps in float64 on the device, a hundred times below the tolerance."""
    from otdist.distances import sinkhorn_divergence

    x, y = (tensor.double() for tensor in tensors(inputs, "x", "y"))
    found = sinkhorn_divergence(x, y, p=2, eps=inputs["eps"], tol=entropic.TOL / 100)
    return float(found.cost)


def flash_divergence(inputs: Inputs) -> Call:
    """`flash_sinkhorn.SamplesLoss` in GeomLoss's convention, without TF32."""
    from flash_sinkhorn import SamplesLoss

    x, y = tensors(inputs, "x", "y")
    blur = math.sqrt(inputs["eps"] / 2)
    loss = SamplesLoss(blur=blur, scaling=0.9, debias=True, half_cost=True, allow_tf32=False)
    return lambda: Outcome(2 * float(loss(x, y)))


def otdist_pricing(inputs: Inputs) -> Call:
    """Every pair against the potentials 0, in float32 blocks."""
    import torch

    from otdist.core.point_cost import PointCost
    from otdist.exact.pricing import Pricer

    x, y = tensors(inputs, "x", "y")
    zero, pricer = torch.zeros(len(x), dtype=torch.float64).to(x), Pricer(PointCost(x, y, 2))

    def call() -> Outcome:
        pricer.below(zero, zero, 0.0, len(x))
        return Outcome(math.nan)

    return call


def torch_pricing(inputs: Inputs) -> Call:
    """The same pairs by `torch.cdist` in float32, all at once."""
    import torch

    x, y = (tensor.float() for tensor in tensors(inputs, "x", "y"))

    def call() -> Outcome:
        (torch.cdist(x, y).square() < 0).nonzero()
        return Outcome(math.nan)

    return call


def run_tests(words: Sequence[str] = ("tests", "-m", "gpu")) -> int:
    """Run the tests that need a device; the code with which they end."""
    command = [sys.executable, "-m", "pytest", "-q", *words]
    try:
        return subprocess.run(command, cwd=ROOT, timeout=SECONDS["tests"], check=False).returncode
    except subprocess.TimeoutExpired:
        print(f"the tests did not end within {SECONDS['tests']} s", file=sys.stderr)
        return 1


def main(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the results.")] = OUT,
    seed: Annotated[int, typer.Option(min=0, help="Of the problems.")] = 0,
) -> None:
    """Test on a CUDA device, then measure there; without one, say so and measure nothing."""
    if reason := machine.missing("cuda"):
        raise typer.BadParameter(reason.replace("leave --device out", "nothing was measured"))
    if code := run_tests():
        print("nothing was measured, because tests failed on the device", file=sys.stderr)
        raise typer.Exit(code)
    # imported here: the main command imports this module
    from benchmarks.__main__ import measure

    settings = Settings(seed, "cuda", timeout=SECONDS["call"], only=True)
    content = {
        "schema_version": 1,
        "suite": SUITE,
        "seed": seed,
        "device": "cuda",
        "rounds": settings.rounds,
        "timeout": settings.timeout,
        "machine": machine.describe(settings.threads, "cuda"),
        "rows": [],
    }
    out.mkdir(parents=True, exist_ok=True)
    measure(content, settings, [SUITE], out, SECONDS["cases"] / 60)
    print((out / "results.md").read_text(encoding="utf-8"))
