r"""Debiased entropic barycenters of images on one lattice, at p = 2.

The image α of least Σ_k λ_k S_eps(α_k, α) (Janati, Cuturi and Gramfort 2020, Debiased Sinkhorn
barycenters). With kernels K = exp(−c/eps) and every product axis by axis in the log domain,

    u_k = α_k / K v_k,    α = d ∏_k (K u_k)^λ_k,    v_k = α / K u_k,    d ← √(d α / K d).

Without the last factor α would be blurred; with it the barycenter of Gaussians of one covariance is
the Gaussian of that covariance. eps falls from the size of the image to its target.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from otdist import masses as pixels
from otdist.barycenters.result import BarycenterResult
from otdist.core import checks
from otdist.core.arrays import enter
from otdist.core.lattice import Axis, Lattices
from otdist.core.measure import weights as checked_weights
from otdist.core.progress import progress
from otdist.core.result import warn_caller
from otdist.core.threads import threads_for
from otdist.entropic.sinkhorn import REACH, check_reach

_RATIO = 4.0  # between one eps and the next
_STAGE_STEPS = 30
_EMPTY = 1e-9  # of the mass: pixels below hold what a kernel leaves everywhere


def answer(
    samples: Any, shares: Any, eps: Any, spacing: Any, tol: float, max_iter: int, quiet: bool
) -> BarycenterResult:
    """The result for images as the caller gave them; options are those of `barycenter`.

    Raises:
        TypeError: not numbers; images that require a gradient.
        ValueError: another rank; negative or non-finite masses, images without mass; bad options.
    """
    begin = time.perf_counter()
    kind, entered = enter(samples=samples)
    images = entered["samples"]
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise ValueError(
            'samples must be images of shape (K, H, W) or (K, D, H, W) for method "entropic": '
            f"got shape {tuple(images.shape)}"
        )
    if images.requires_grad:
        raise TypeError("samples requires a gradient, which a barycenter does not carry")
    d, shape = images.ndim - 1, images.shape[1:]
    steps = pixels.per_axis("spacing", 1.0 if spacing is None else spacing, d, above=0)
    eps = max(steps) ** 2 if eps is None else checks.positive("eps", eps)
    given = [pixels.grid(kind.array(image), spacing=steps) for image in images]
    chosen = checked_weights(shares, "weights", "samples", torch.empty(len(images)))
    unit = max(step * (n - 1) for step, n in zip(steps, shape, strict=True)) or 1.0
    places = [
        torch.arange(n, dtype=torch.float64, device=images.device) * (step / unit)
        for n, step in zip(shape, steps, strict=True)
    ]
    mass = images.double().flatten(1)
    mass = mass / mass.amax(1, keepdim=True)
    mass = mass / mass.sum(1, keepdim=True)
    strength, used = (eps**0.5 / unit) ** 2, chosen > 0
    cost = Lattices([Axis(z, z, 2) for z in places])
    check_reach(eps, strength >= REACH * cost.largest)
    with progress("barycenter", quiet=quiet) as say, threads_for(mass.numel()):
        found = barycenter(
            mass[used], chosen[used].to(mass.device), cost, strength,
            tol=tol, max_iter=max_iter, say=say,
        )  # fmt: skip
    converged, message = found.change <= tol, "the image came to rest"
    if not converged:
        message = f"the image still changed after {found.iterations} steps: raise max_iter or eps"
        warn_caller(message)
    image = kind.array(found.image.view(shape))
    points, weights = pixels.grid(image, spacing=steps)
    return BarycenterResult(
        points, weights, 2.0, "entropic", converged, message, found.iterations,
        time.perf_counter() - begin, image=image, _samples=given, _shares=chosen.tolist(),
    )  # fmt: skip


class Found(NamedTuple):
    """The image (n,), of sum one, steps at the last eps, and the last change of the image."""

    image: Tensor
    iterations: int
    change: float


def barycenter(
    masses: Tensor,
    shares: Tensor,
    cost: Lattices,
    eps: float,
    *,
    tol: float,
    max_iter: int,
    say: Callable[[str], None],
) -> Found:
    """The barycenter of images on the places of `cost`.

    Args:
        masses: α_k, shape (K, n), float64, of sum one.
        shares: λ, shape (K,), of sum one.
        cost: Between the places.
        eps: In cost units.
        tol: L1 change of the image to stop at.
        max_iter: Steps at most at the last eps.
        say: Told the change after each step.
    """
    logs, weights = masses.log(), shares[:, None]

    def product(h: Tensor, strength: float) -> Tensor:
        """Log of K e^h."""
        return cost.softmin(h * strength, strength) / -strength

    v, d = torch.zeros_like(masses), torch.zeros_like(masses[:1])
    image = masses.new_zeros(masses.shape[1])
    stage, step, change = max(eps, cost.largest / 16), 0, 2.0
    while True:
        last = stage <= eps
        for step in range(1, (max_iter if last else _STAGE_STEPS) + 1):
            reached = product(logs - product(v, stage), stage)
            alpha = d + (weights * reached).sum(0, keepdim=True)
            v = alpha - reached
            d = (d + alpha - product(d, stage)) / 2
            before, image = image, torch.softmax(alpha[0], 0)
            change = float((image - before).abs().sum())
            if last:
                say(f"step {step}, change {change:.2g}")
            if change <= tol:
                break
        if last:
            image = torch.where(image > _EMPTY, image, 0.0)
            return Found(image / image.sum(), step, change)
        below = max(eps, stage / _RATIO)
        v, d, stage = v * (stage / below), d * (stage / below), below
