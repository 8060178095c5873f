"""Critics on ray-monotone pairs, whose W_1 and optimal critic are known in any dimension.

Two figures: the estimate of W_1 between the laws, and the mean cosine between the critic's gradient
and the optimal one on fresh points of P. All critics see the same 60,000 + 60,000 points and take
the same number of steps with the same batches; the networks of the published methods are three
layers of 128. The optimal critic is a maximum of funnels, so it is in the class of ours; say so
wherever the figures stand. ``python -m benchmarks.suites.neural`` prints them in one table.

Reference: Korotin, Kolesov, Burnaev (2022), Kantorovich Strikes Back!
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.case import OURS, Call, Case, Inputs, Outcome

N_POINTS = 60_000
STEPS = 1000
EXACT_POINTS = 2000


@dataclass(frozen=True)
class Figures:
    """What one critic reaches.

    Attributes:
        estimate: Of W_1.
        lower: Its certified 95% limit, where it has one.
        cosine: Mean cosine to the optimal critic's gradient.
        name: Of the critic that was chosen.
    """

    estimate: float
    lower: float | None
    cosine: float
    name: str


def critic(inputs: Inputs, **options: Any) -> Figures:
    """`otdist.NeuralDual`: ours by default, the published ones by `lipschitz=…`."""
    from otdist.neural import NeuralDual

    dual = NeuralDual(steps=inputs["steps"], seed=inputs["seed"], **options)
    result = dual.fit(inputs["x"], inputs["y"])
    slopes = result.gradient(inputs["at"])
    return Figures(result.estimate, result.lower, _cosine(slopes, inputs["slopes"]), result.name)


def discrete(inputs: Inputs) -> Figures:
    """Exact transport of as many points as a laptop takes in a second; slopes along its plan."""
    from otdist.distances import wasserstein
    from otdist.transport_map import barycentric_map

    x, y = inputs["x"][:EXACT_POINTS], inputs["y"][:EXACT_POINTS]
    result = wasserstein(x, y)
    rays = x - barycentric_map(result, y)
    slopes = inputs["law"].critic_gradient(x)
    return Figures(float(result.distance), None, _cosine(rays, slopes), "plan")


METHODS: dict[str, Callable[[Inputs], Figures]] = {
    OURS: critic,
    "gradient penalty": partial(critic, critic="relu", lipschitz="gp"),
    "one-sided penalty": partial(critic, critic="relu", lipschitz="lp"),
    "spectral norm": partial(critic, critic="relu", lipschitz="spectral"),
    "weight clipping": partial(critic, critic="relu", lipschitz="clip"),
    "MaxMin, orthogonal": partial(critic, critic="sorting"),
    "exact discrete": discrete,
}


def cases() -> list[Case]:
    """Every pair twice: its W_1, and the cosine, whose truth is one."""
    pairs = [(d, n) for d in (2, 8, 16, 32, 64, 128) for n in (4, 16, 64)]
    return [
        Case(
            name="ray-monotone",
            quantity=quantity,
            n=N_POINTS,
            m=N_POINTS,
            d=d,
            p=1,
            make=partial(inputs_of, d, funnels),
            competitors={
                name: partial(_prepare, method, quantity) for name, method in METHODS.items()
            },
            truth=_truth if quantity == "W_1" else lambda inputs: 1.0,
            parameters={"funnels": funnels},
            quick=(d, funnels, quantity) == (2, 4, "W_1"),
        )
        for d, funnels in pairs
        for quantity in ("W_1", "cosine")
    ]


def inputs_of(d: int, funnels: int, seed: int, steps: int = STEPS) -> Inputs:
    """Independent samples of both laws, and fresh points with the optimal slopes."""
    from otdist.problems import RayMonotone

    law = RayMonotone(d, funnels, seed=seed)
    at = law.draw(4096, seed=seed + 3)[0]
    slopes = law.critic_gradient(at)
    seen = np.isfinite(slopes).all(1)  # a point may fall on its centre, where there is no slope
    return {
        "x": law.draw(N_POINTS, seed=seed + 1)[0],
        "y": law.draw(N_POINTS, seed=seed + 2)[1],
        "at": at[seen],
        "slopes": slopes[seen],
        "law": law,
        "steps": steps,
        "seed": seed,
        "p": 1,
    }


def _truth(inputs: Inputs) -> float:
    return inputs["law"].w1()[0]


def _prepare(method: Callable[[Inputs], Figures], quantity: str, inputs: Inputs) -> Call:
    def call() -> Outcome:
        found = method(inputs)
        if quantity == "W_1":
            return Outcome(found.estimate, found.lower)
        return Outcome(found.cosine)

    return call


def _cosine(slopes: np.ndarray, optimal: np.ndarray) -> float:
    """Mean cosine; where a slope vanishes it counts as 0."""
    length = np.linalg.norm(slopes, axis=1).clip(min=1e-12)
    return float(np.nanmean((slopes * optimal).sum(1) / length))


def table(pairs: Iterable[tuple[int, int]] = ((2, 16), (16, 64), (64, 64)), seed: int = 0) -> None:
    """Print estimate / W_1, cosine and seconds of every method, as Markdown."""
    print("| D | N | method | estimate / W_1 | 95% limit / W_1 | cosine | seconds |")
    print("|--:|--:|---|--:|--:|--:|--:|")
    for d, funnels in pairs:
        inputs = inputs_of(d, funnels, seed)
        truth = _truth(inputs)
        for name, method in METHODS.items():
            begin = time.perf_counter()
            found = method(inputs)
            seconds = time.perf_counter() - begin
            limit = "" if found.lower is None else f"{found.lower / truth:.2f}"
            label = f"otdist ({found.name})" if name == OURS else name
            print(
                f"| {d} | {funnels} | {label} | {found.estimate / truth:.2f} | {limit} "
                f"| {found.cosine:.2f} | {seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    table()
