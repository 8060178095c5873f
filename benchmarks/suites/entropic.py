"""Entropic transport: the divergence, one soft-min pass, many points, the certified bracket.

The divergence is three problems at eps = 0.005 on the unit cube, p = 2, float32. All competitors
compute S_eps with the KL objective. GeomLoss halves the cost (eps = 2·blur², its value doubles);
POT stops on an L2 error, taken √n smaller than our L1 tolerance of 1e-3; OTT is compiled before.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from benchmarks.adapters import otdist_wasserstein, pot_emd2, tensors
from benchmarks.case import OURS, Call, Case, Inputs, Outcome

EPS = 0.005
TOL = 1e-3


def cases() -> list[Case]:
    """All cases of the suite."""
    sizes = [(n, d) for n in (2000, 5000) for d in (3, 10)]
    return [
        *(_divergence(n, d) for n, d in sizes),
        *(_pass(d) for d in (3, 10)),
        *(_bracket(share) for share in (0.1, 0.01, 0.001)),
        _large(),
    ]


def cube(n: int, d: int, seed: int) -> Inputs:
    """Two uniform samples of the unit cube in float32, and eps."""
    rng = np.random.default_rng(seed)
    x, y = (rng.random((n, d), dtype=np.float32) for _ in range(2))
    return {"x": x, "y": y, "p": 2, "eps": EPS}


def _divergence(n: int, d: int) -> Case:
    return Case(
        name="unit cube",
        quantity="S_eps",
        n=n,
        m=n,
        d=d,
        p=2,
        make=partial(cube, n, d),
        competitors={
            OURS: otdist_divergence,
            "GeomLoss, scaling 0.9": partial(geomloss_divergence, scaling=0.9),
            "GeomLoss, scaling 0.5": partial(geomloss_divergence, scaling=0.5),
            "POT sinkhorn_log": pot_divergence,
            "OTT-JAX": ott_divergence,
        },
        truth=_converged,
        parameters={"eps": EPS},
        quick=(n, d) == (2000, 3),
    )


def _converged(inputs: Inputs) -> float:
    """S_eps in float64, a hundred times below the tolerance."""
    from otdist.distances import sinkhorn_divergence

    x, y = inputs["x"].astype(np.float64), inputs["y"].astype(np.float64)
    return sinkhorn_divergence(x, y, p=2, eps=inputs["eps"], tol=TOL / 100).cost


def otdist_divergence(inputs: Inputs) -> Call:
    """`otdist.sinkhorn_divergence` at its default tolerance."""
    from otdist.distances import sinkhorn_divergence

    x, y = tensors(inputs, "x", "y")

    def call() -> Outcome:
        result = sinkhorn_divergence(x, y, p=2, eps=inputs["eps"])
        return Outcome(float(result.cost), converged=result.converged)

    return call


def geomloss_divergence(inputs: Inputs, *, scaling: float, backend: str = "tensorized") -> Call:
    """`geomloss.SamplesLoss("sinkhorn")`, twice its value: its cost is halved."""
    from geomloss import SamplesLoss

    x, y = tensors(inputs, "x", "y")
    blur = math.sqrt(inputs["eps"] / 2)
    loss = SamplesLoss("sinkhorn", p=2, blur=blur, scaling=scaling, backend=backend)
    return lambda: Outcome(2 * float(loss(x, y)))


def pot_divergence(inputs: Inputs) -> Call:
    """Three calls of `ot.bregman.sinkhorn_log`, the KL objective from its potentials."""
    import ot
    import torch

    x, y = tensors(inputs, "x", "y")
    eps, n = inputs["eps"], len(x)
    weights = torch.full((n,), 1.0 / n, dtype=x.dtype, device=x.device)
    options: dict[str, Any] = {"stopThr": TOL / math.sqrt(n), "numItermax": 10_000, "log": True}

    def term(x: Any, y: Any) -> float:
        plan, _ = ot.bregman.sinkhorn_log(weights, weights, c := ot.dist(x, y), eps, **options)
        entropy = torch.xlogy(plan, plan * (n * n)).sum()
        return float((plan * c).sum() + eps * entropy)

    return lambda: Outcome(term(x, y) - (term(x, x) + term(y, y)) / 2)


def pot_lazy_divergence(inputs: Inputs) -> Call:
    """Three calls of `ot.solve_sample(lazy=True)`, whose objective is read from the potentials."""
    import ot

    eps = inputs["eps"]
    x, y = (inputs[name].astype(np.float64) for name in "xy")

    def term(x: np.ndarray, y: np.ndarray) -> float:
        found = ot.solve_sample(x, y, reg=eps, lazy=True, batch_size=1000, tol=TOL, max_iter=10_000)
        f, g = found.potentials
        return float(np.mean(f) + np.mean(g))

    return lambda: Outcome(term(x, y) - (term(x, x) + term(y, y)) / 2)


def ott_divergence(inputs: Inputs) -> Call:
    """OTT's `sinkhorn_divergence`, jitted and compiled before it is timed."""
    import jax
    import jax.numpy as jnp
    from ott.geometry import pointcloud
    from ott.tools.sinkhorn_divergence import sinkhorn_divergence

    x, y = jnp.asarray(inputs["x"]), jnp.asarray(inputs["y"])

    @jax.jit
    def divergence(x: Any, y: Any) -> Any:
        value = sinkhorn_divergence(
            pointcloud.PointCloud,
            x,
            y,
            epsilon=inputs["eps"],
            solve_kwargs={"threshold": TOL, "max_iterations": 10_000},
        )
        return value[0] if isinstance(value, tuple) else value.divergence

    divergence(x, y).block_until_ready()
    return lambda: Outcome(float(divergence(x, y)))


def _pass(d: int) -> Case:
    return Case(
        name="soft-min pass",
        quantity="",
        n=4000,
        m=4000,
        d=d,
        p=2,
        make=partial(cube, 4000, d),
        competitors={
            OURS: otdist_softmin,
            "product and clamped exp": product_and_exp,
            "product and logsumexp": product_and_logsumexp,
        },
        parameters={"eps": EPS},
        quick=d == 3,
    )


def otdist_softmin(inputs: Inputs) -> Call:
    """One soft-min over all pairs."""
    import torch

    from otdist.core.point_cost import PointCost

    x, y = tensors(inputs, "x", "y")
    cost, h = PointCost(x - 0.5, y - 0.5, 2), torch.zeros(len(y), dtype=torch.float64)

    def call() -> Outcome:
        cost.softmin(h.to(x.device), inputs["eps"]).sum().item()
        return Outcome(math.nan)

    return call


def product_and_exp(inputs: Inputs) -> Call:
    """The yardstick: one matrix product, one clamp, one `exp`, nothing reduced."""
    import torch

    x, y = tensors(inputs, "x", "y")

    def call() -> Outcome:
        scores = torch.mm(x * (2 / inputs["eps"]), y.T)
        scores.sub_(scores.max()).clamp_(min=-80).exp_()
        return Outcome(math.nan)

    return call


def product_and_logsumexp(inputs: Inputs) -> Call:
    """What is usually written."""
    import torch

    x, y = tensors(inputs, "x", "y")

    def call() -> Outcome:
        torch.logsumexp(torch.mm(x * (2 / inputs["eps"]), y.T), 1).sum().item()
        return Outcome(math.nan)

    return call


def _bracket(share: float) -> Case:
    def make(seed: int) -> Inputs:
        inputs = {**cube(2000, 3, seed), "b": None}
        inputs["y"] = inputs["y"] ** 2 + np.float32(0.2)
        mean = float(np.mean((inputs["x"][:, None] - inputs["y"]) ** 2) * 3)
        return {**inputs, "eps": share * mean}

    return Case(
        name="cube to a corner",
        quantity="W_2",
        n=2000,
        m=2000,
        d=3,
        p=2,
        make=make,
        competitors={OURS: _sinkhorn_bracket, "POT emd2": pot_emd2},
        truth=lambda inputs: pot_emd2(inputs)().value,
        parameters={"eps of the mean cost": share},
    )


def _sinkhorn_bracket(inputs: Inputs) -> Call:
    from otdist.entropic.sinkhorn import Sinkhorn

    return otdist_wasserstein(inputs, solver=Sinkhorn(eps=inputs["eps"]))


def _large() -> Case:
    return Case(
        name="unit cube, streamed",
        quantity="S_eps",
        n=20_000,
        m=20_000,
        d=3,
        p=2,
        make=partial(cube, 20_000, 3),
        competitors={
            OURS: otdist_divergence,
            "GeomLoss online, scaling 0.9": partial(
                geomloss_divergence, scaling=0.9, backend="online"
            ),
            "POT lazy": pot_lazy_divergence,
        },
        parameters={"eps": EPS},
    )
