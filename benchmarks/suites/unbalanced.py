"""Transport in which mass may stay: partial and exact, entropic with penalties and debiased.

Partial transport of the clouds of `exact` stands beside balanced transport of the same points,
which is what its time is to be measured by, and POT's `partial_wasserstein`, which solves the same
programme. GeomLoss halves the cost (eps = 2·blur², ρ = 2·reach²), and its value doubles; POT's plan
is worth its objective, which takes a small share of the time to add up.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from benchmarks.adapters import arrays, otdist_balanced, tensors
from benchmarks.case import OURS, Call, Case, Competitor, Inputs, Outcome
from benchmarks.suites.exact import clouds

BLUR, REACH = 0.1, 1.0
POT_LIMIT = 1000  # points of which POT solves the linear programme in a second


def cases() -> list[Case]:
    """All cases of the suite."""
    sizes = [(n, d) for n in (1000, 4000) for d in (2, 10)]
    partly = [_partial(n, d, mass) for n, d in sizes for mass in (0.9, 0.5)]
    priced = [_priced(penalty, d) for penalty in ("tv", "kl") for d in (2, 10)]
    return [
        *partly,
        *priced,
        *(_divergence(d) for d in (2, 10)),
        *(_entropic(d) for d in (2, 10)),
    ]


def _partial(n: int, d: int, mass: float) -> Case:
    competitors: dict[str, Competitor] = {
        OURS: partial(otdist_partial, mass=mass),
        "otdist, balanced": otdist_balanced,
    }
    if n <= POT_LIMIT:
        competitors["POT partial_wasserstein"] = partial(pot_partial, mass=mass)
    return Case(
        name="normal clouds",
        quantity="partial W_2",
        n=n,
        m=n,
        d=d,
        p=2,
        make=partial(clouds, n, d, 2.0),
        competitors=competitors,
        truth=partial(_truth, mass=mass) if n <= POT_LIMIT else None,
        parameters={"mass": mass},
        quick=n <= POT_LIMIT and mass == 0.9,
    )


def _truth(inputs: Inputs, mass: float) -> float:
    return pot_partial(inputs, mass)().value


def otdist_partial(inputs: Inputs, mass: float) -> Call:
    """`otdist.partial_wasserstein`, certificate included."""
    import otdist

    x, y = arrays(inputs, "x", "y")
    otdist.partial_wasserstein([[0.0, 0.0]], [[1.0, 1.0]], mass=0.5)

    def call() -> Outcome:
        found = otdist.partial_wasserstein(x, y, mass=mass, p=inputs["p"])
        return Outcome(float(found.distance), found.lower, found.upper, found.converged)

    return call


def pot_partial(inputs: Inputs, mass: float) -> Call:
    """`ot.dist` and `ot.partial.partial_wasserstein2`: exact, dense."""
    import ot

    x, y, p = inputs["x"], inputs["y"], inputs["p"]
    a, b = ot.unif(len(x)), ot.unif(len(y))

    def call() -> Outcome:
        cost = ot.dist(x, y, "sqeuclidean" if p == 2 else "euclidean")
        found: Any = ot.partial.partial_wasserstein2(a, b, cost, m=mass)
        return Outcome((found / mass) ** (1 / p))

    return call


def _priced(penalty: str, d: int) -> Case:
    """Mass that is created or destroyed at a price, beside POT's solvers of the same programme."""
    n = 500
    others: dict[str, dict[str, Competitor]] = {
        "tv": {"POT lbfgsb_unbalanced": pot_lbfgsb},
        "kl": {"POT mm_unbalanced": pot_mm},
    }
    return Case(
        name=f"normal clouds, masses, {penalty}",
        quantity="unbalanced W_2",
        n=n,
        m=n,
        d=d,
        p=2,
        make=partial(masses, d, n=n),
        competitors={OURS: partial(otdist_unbalanced, penalty=penalty), **others[penalty]},
        truth=lambda inputs: (
            otdist_unbalanced(
                {**inputs, "device": "cpu"}, penalty, rtol=1e-5 if penalty == "kl" else None
            )().value
        ),
        parameters={"reach": REACH * math.sqrt(d)},
        quick=d == 2,
        limit=30.0,
    )


def otdist_unbalanced(inputs: Inputs, penalty: str, **options: Any) -> Call:
    """`otdist.unbalanced_wasserstein`, certificate included; "kl" to its default of 1%."""
    import otdist

    x, y, a, b = arrays(inputs, "x", "y", "a", "b")
    options |= {"reach": REACH * math.sqrt(x.shape[1]), "penalty": penalty, "p": 2}

    def call() -> Outcome:
        found = otdist.unbalanced_wasserstein(x, y, a=a, b=b, **options)
        return Outcome(float(found.distance), found.lower, found.upper, found.converged)

    return call


def pot_mm(inputs: Inputs) -> Call:
    """`ot.unbalanced.mm_unbalanced`: multiplicative steps without entropy."""
    import ot

    x, y, a, b = (inputs[name] for name in ("x", "y", "a", "b"))
    rho = REACH**2 * x.shape[1]

    def call() -> Outcome:
        cost = ot.dist(x, y)
        plan = ot.unbalanced.mm_unbalanced(a, b, cost, rho, div="kl", stopThr=1e-9)
        ends = _divergent(plan.sum(1), a) + _divergent(plan.sum(0), b)
        return Outcome(math.sqrt(float((plan * cost).sum()) + rho * ends))

    return call


def pot_lbfgsb(inputs: Inputs) -> Call:
    """`ot.unbalanced.lbfgsb_unbalanced` with total variation and no entropy."""
    import ot

    x, y, a, b = (inputs[name] for name in ("x", "y", "a", "b"))
    rho = REACH**2 * x.shape[1]

    def call() -> Outcome:
        cost = ot.dist(x, y)
        plan: Any = ot.unbalanced.lbfgsb_unbalanced(a, b, cost, 0, rho, regm_div="tv")
        ends = np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - b).sum()
        return Outcome(math.sqrt(float((plan * cost).sum() + rho * ends)))

    return call


def masses(d: int, seed: int, n: int = 2000) -> Inputs:
    """Two normal clouds of as many points and different masses."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), 1.1 * rng.normal(size=(n, d)) + 0.3
    a, b = rng.uniform(0.5, 1.5, n) / n, 1.2 * rng.uniform(0.5, 1.5, n) / n
    return {"x": x, "y": y, "a": a, "b": b, "p": 2}


def _case(d: int, quantity: str, ours: str, competitors: dict[str, Competitor]) -> Case:
    def truth(inputs: Inputs) -> float:
        return otdist_entropic(inputs, ours, tol=1e-7)().value

    return Case(
        name="normal clouds, masses",
        quantity=quantity,
        n=2000,
        m=2000,
        d=d,
        p=2,
        make=partial(masses, d),
        competitors={OURS: partial(otdist_entropic, function=ours), **competitors},
        truth=truth,
        parameters={"blur": BLUR * math.sqrt(d), "reach": REACH * math.sqrt(d)},
        quick=d == 2,
    )


def _divergence(d: int) -> Case:
    competitors = {
        f"GeomLoss, scaling {s}": partial(geomloss_divergence, scaling=s) for s in (0.5, 0.9)
    }
    return _case(d, "S_eps,ρ", "sinkhorn_divergence", dict(competitors))


def _entropic(d: int) -> Case:
    return _case(d, "OT_eps,ρ", "entropic_cost", {"POT sinkhorn_unbalanced": pot_unbalanced})


def _strengths(inputs: Inputs) -> dict[str, float]:
    """Eps and reach, which grow with the distances of so many dimensions."""
    d = inputs["x"].shape[1]
    return {"eps": 2 * BLUR**2 * d, "reach": math.sqrt(2 * d) * REACH}


def otdist_entropic(inputs: Inputs, function: str, **options: Any) -> Call:
    """`otdist.sinkhorn_divergence` or `otdist.entropic_cost` with a reach."""
    import otdist

    x, y, a, b = arrays(inputs, "x", "y", "a", "b")
    solve, given = getattr(otdist, function), _strengths(inputs)

    def call() -> Outcome:
        found = solve(x, y, a=a, b=b, p=2, **given, **options)
        return Outcome(float(found.cost), converged=found.converged)

    return call


def geomloss_divergence(inputs: Inputs, scaling: float) -> Call:
    """`geomloss.SamplesLoss` with a reach."""
    from geomloss import SamplesLoss

    a, x, b, y = tensors(inputs, "a", "x", "b", "y")
    given = _strengths(inputs)
    blur, reach = math.sqrt(given["eps"] / 2), given["reach"] / math.sqrt(2)
    loss = SamplesLoss(
        "sinkhorn", p=2, blur=blur, reach=reach, scaling=scaling, backend="tensorized"
    )
    return lambda: Outcome(2 * float(loss(a, x, b, y)))


def pot_unbalanced(inputs: Inputs) -> Call:
    """`ot.unbalanced.sinkhorn_unbalanced` with its own stopping rule."""
    import ot

    x, y, a, b = (inputs[name] for name in ("x", "y", "a", "b"))
    given = _strengths(inputs)
    eps, rho = given["eps"], given["reach"] ** 2

    def call() -> Outcome:
        cost = ot.dist(x, y)
        plan = ot.unbalanced.sinkhorn_unbalanced(a, b, cost, eps, rho, reg_type="kl")
        paid = float((plan * cost).sum()) + eps * _divergent(plan, a[:, None] * b)
        return Outcome(paid + rho * (_divergent(plan.sum(1), a) + _divergent(plan.sum(0), b)))

    return call


def _divergent(q: np.ndarray, w: np.ndarray) -> float:
    """KL(q | w) of masses."""
    return float((q * np.log(np.where(q > 0, q, 1.0) / w) - q + w).sum())
