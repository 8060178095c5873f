"""Critics on ray-monotone pairs, whose W_1 and optimal critic are known in any dimension.

Two figures: the estimate of W_1 between the laws, and the mean cosine between the critic's gradient
and the optimal one. Each method has the same seconds of CPU. The optimal critic is a maximum of
funnels, so it is in the class of ours; say so wherever the figures stand. The tables of the page on
critics, with other pairs as well, come from ``python -m benchmarks neural``.

Reference: Korotin, Kolesov, Burnaev (2022), Kantorovich Strikes Back!
"""

from __future__ import annotations

from functools import partial

from benchmarks.case import OURS, Call, Case, Inputs, Outcome
from benchmarks.neural.methods import METHODS, Method
from benchmarks.neural.pairs import POINTS, ray_monotone

BUDGET = 8.0
NAMES = {
    "auto": OURS,
    "gp": "gradient penalty",
    "lp": "one-sided penalty",
    "spectral": "spectral norm",
    "clip": "weight clipping",
    "sorting": "MaxMin, orthogonal",
    "exact": "exact discrete",
}


def cases() -> list[Case]:
    """Three pairs twice: the W_1, and the cosine, whose truth is one."""
    pairs = [(2, 4), (16, 16), (64, 64)]
    return [
        Case(
            name="ray-monotone",
            quantity=quantity,
            n=POINTS,
            m=POINTS,
            d=d,
            p=1,
            make=partial(inputs_of, d, funnels),
            competitors={
                name: partial(_prepare, METHODS[key], quantity) for key, name in NAMES.items()
            },
            truth=_truth if quantity == "W_1" else lambda inputs: 1.0,
            parameters={"funnels": funnels},
            quick=(d, funnels, quantity) == (2, 4, "W_1"),
        )
        for d, funnels in pairs
        for quantity in ("W_1", "cosine")
    ]


def inputs_of(d: int, funnels: int, seed: int) -> Inputs:
    """The pair, under one name."""
    return {"pair": ray_monotone(d, funnels, seed), "seed": seed, "p": 1}


def _truth(inputs: Inputs) -> float:
    return inputs["pair"].truth


def _prepare(method: Method, quantity: str, inputs: Inputs) -> Call:
    def call() -> Outcome:
        found = method(inputs["pair"], BUDGET, inputs["seed"])
        if quantity == "W_1":
            return Outcome(found.estimate, found.lower)
        assert found.cosine is not None
        return Outcome(found.cosine)

    return call
