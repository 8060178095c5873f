"""Sliced distances with identical directions: values and gradients against POT and plain torch."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from benchmarks.adapters import arrays, tensors
from benchmarks.case import OURS, Call, Case, Inputs, Outcome


def gaussian_clouds(
    seed: int, n: int, m: int, d: int, count: int, weighted: bool = False, dtype: str = "float64"
) -> Inputs:
    """Two Gaussian clouds, a tenth apart, and uniform unit rows."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, d))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    inputs = {
        "x": rng.standard_normal((n, d)).astype(dtype),
        "y": (0.1 + rng.standard_normal((m, d))).astype(dtype),
        "directions": rows.astype(dtype),
        "p": 2,
    }
    if weighted:
        for name, size in (("a", n), ("b", m)):
            weights = rng.random(size)
            inputs[name] = weights / weights.sum()
    return inputs


def otdist_value(inputs: Inputs) -> Call:
    """`sliced_wasserstein` without its bracket."""
    from otdist.sliced_distances import sliced_wasserstein

    x, y, a, b, rows = arrays(inputs, "x", "y", "a", "b", "directions")

    def call() -> Outcome:
        result = sliced_wasserstein(x, y, a=a, b=b, p=inputs["p"], directions=rows)
        return Outcome(float(result.distance))

    return call


def pot_value(inputs: Inputs) -> Call:
    """`ot.sliced_wasserstein_distance` on the same kind of arrays."""
    import ot

    x, y, a, b, rows = arrays(inputs, "x", "y", "a", "b", "directions")
    columns = np.ascontiguousarray(rows.T) if isinstance(rows, np.ndarray) else rows.T.contiguous()

    def call() -> Outcome:
        value: Any = ot.sliced_wasserstein_distance(x, y, a, b, projections=columns, p=inputs["p"])
        return Outcome(float(value))

    return call


def otdist_gradient(inputs: Inputs) -> Call:
    """`SlicedWassersteinLoss`, forward and backward, in both samples."""
    from otdist.losses.sliced import SlicedWassersteinLoss

    loss = SlicedWassersteinLoss(p=inputs["p"])
    return _gradient(inputs, lambda x, y, rows: loss(x, y, directions=rows))


def pot_gradient(inputs: Inputs) -> Call:
    """POT on torch tensors, forward and backward; its root squared is the same loss."""
    import ot

    def loss(x, y, rows):
        value: Any = ot.sliced_wasserstein_distance(x, y, projections=rows.T, p=inputs["p"])
        return value**2

    return _gradient(inputs, loss)


def plain_torch_gradient(inputs: Inputs) -> Call:
    """The formulation in most training scripts: project, `torch.sort`, mean square."""
    import torch

    def loss(x, y, rows):
        gaps = torch.sort(rows @ x.T, dim=1).values - torch.sort(rows @ y.T, dim=1).values
        return gaps.square().mean()

    return _gradient(inputs, loss)


def _gradient(inputs: Inputs, loss) -> Call:
    import torch

    x, y, rows = tensors(inputs, "x", "y", "directions")

    def call() -> Outcome:
        leaves = [t.clone().requires_grad_() for t in (x, y)]
        value = loss(*leaves, rows)
        value.backward()
        if x.device.type == "cuda":
            torch.cuda.synchronize()
        return Outcome(math.sqrt(value.item()))

    return call


def _case(n: int, m: int, d: int, count: int, *, weighted: bool = False) -> Case:
    return Case(
        name="Gaussian clouds, weighted" if weighted else "Gaussian clouds",
        quantity="SW_2",
        n=n,
        m=m,
        d=d,
        p=2,
        make=partial(gaussian_clouds, n=n, m=m, d=d, count=count, weighted=weighted),
        competitors={OURS: otdist_value, "POT": pot_value},
        truth=lambda inputs: pot_value({**inputs, "device": "cpu"})().value,
        parameters={"directions": count},
        quick=n == 10_000,
    )


def cases() -> list[Case]:
    """Values in float64, equal, unequal and weighted; the gradient in float32."""
    n, d, count = 10_000, 64, 500
    gradient = Case(
        name="Gaussian clouds, forward and backward",
        quantity="SW_2",
        n=n,
        m=n,
        d=d,
        p=2,
        make=partial(gaussian_clouds, n=n, m=n, d=d, count=count, dtype="float32"),
        competitors={
            OURS: otdist_gradient,
            "POT": pot_gradient,
            "plain torch": plain_torch_gradient,
        },
        parameters={"directions": count, "dtype": "float32"},
        quick=True,
    )
    return [
        _case(10_000, 10_000, 10, 100),
        _case(100_000, 100_000, 16, 100),
        _case(10_000, 7_001, 10, 100),
        _case(10_000, 10_000, 10, 100, weighted=True),
        gradient,
    ]
