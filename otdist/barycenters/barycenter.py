"""The public function: checks of samples and options, and the choice of the method."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist.barycenters import free, gaussian, images, line, sliced
from otdist.barycenters.result import BarycenterResult
from otdist.core import checks
from otdist.core.arrays import Kind, enter
from otdist.core.measure import sample as checked_sample
from otdist.core.measure import weights as checked_weights
from otdist.core.modes import full_precision
from otdist.core.progress import progress
from otdist.core.result import warn_caller
from otdist.sliced import directions

METHODS = ("exact", "gaussian", "sliced", "entropic")
_TOL, _STEPS = {"entropic": 1e-4}, {"entropic": 500}
_LINES = 128
LARGEST_SUPPORT = 1000
"""Points of the default support: exact plans of 1,000 by 1,000 points take a tenth of a second."""


@dataclass(frozen=True)
class _Problem:
    """Samples around the origin, their weights, and the weights λ of the samples."""

    samples: list[tuple[np.ndarray, np.ndarray]]
    shares: np.ndarray
    p: float
    centre: np.ndarray


@full_precision()
def barycenter(
    samples: Any,
    *,
    weights: Any = None,
    p: float = 2,
    support: Any = None,
    n_support: int | None = None,
    method: str = "exact",
    n_projections: int | None = None,
    eps: float | None = None,
    spacing: Any = None,
    max_iter: int | None = None,
    tol: float | None = None,
    seed: int | None = 0,
    quiet: bool = True,
) -> BarycenterResult:
    r"""The distribution ν of least Σ λ_i W_p^p(sample i, ν), with a bracket on the least value.

    Args:
        samples: A sequence of samples: points (n_i, d), or (n_i,) on the line, or pairs
            (points, weights) with weights (n_i,) of sum one. For method "entropic" images of
            masses, shape (K, H, W) or (K, D, H, W), each of any positive sum.
        weights: λ, one for each sample, non-negative, of sum one; uniform when None.
        p: Exponent, at least 1; 2 for methods other than "exact".
        support: Initial support, shape (k, d), for d > 1; None draws it from the samples.
        n_support: Number of support points when `support` is None: that of the largest sample, at
            most 1,000.
        method: "exact": on the line the average of quantiles, the optimum for every p; otherwise
            free support moved by exact plans, a local optimum, with uniform weights. "gaussian":
            the barycenter of the fitted Gaussians; points are the samples moved onto it by affine
            maps, which keeps their shape. "sliced": free support that is nearest along lines, for
            many points. "entropic": the debiased entropic barycenter of images on their pixels.
        n_projections: Lines of method "sliced"; 128, or the dimension where that is larger.
        eps: Strength of method "entropic", in units of `spacing` squared; that of one pixel.
        spacing: Of the pixels, one number or one per axis; 1.
        max_iter: Steps at most; 50, and 500 for method "entropic".
        tol: Relative gain of the objective (exact, sliced), change of the covariance or of the
            image to stop at; 1e-6, and 1e-4 for method "entropic".
        seed: Of the initial support; None draws a fresh one.
        quiet: Write no progress to stderr, where that is a terminal.

    Returns:
        `points` and `weights`, the objective `cost`, `distances` to each sample with brackets, and
        `lower` and `upper` around the objective of the best distribution there is.

    Raises:
        ValueError: no samples, other dimensions, bad points or weights (named as samples[i]), an
            option that cannot apply.
        TypeError: not numbers; numpy mixed with torch; a sample that requires a gradient.

    Warns:
        ConvergenceWarning: `max_iter` steps were not enough.

    Gradients: none.
    Cost: a sort on the line; otherwise K exact problems a step, sliced a sort per line, entropic
        2 K + 1 soft-mins along the axes; `lower` K(K − 1)/2 problems.
    Reference: Agueh and Carlier (2011); Cuturi and Doucet (2014); Álvarez-Esteban et al. (2016);
        Bonneel et al. (2015); Janati, Cuturi and Gramfort (2020).

    >>> corners = [[[0.0, 0.0]], [[4.0, 0.0]], [[0.0, 4.0]], [[4.0, 4.0]]]
    >>> found = barycenter(corners)
    >>> found.points.tolist(), round(found.lower, 6), round(found.cost, 6)
    ([[2.0, 2.0]], 8.0, 8.0)
    """
    started = time.perf_counter()
    p = checks.exponent(p)
    checks.choice("method", method, METHODS)
    tol = _TOL.get(method, 1e-6) if tol is None else checks.number("tol", tol, least=0)
    max_iter = _STEPS.get(method, 50) if max_iter is None else checks.whole("max_iter", max_iter)
    seed, quiet = checks.seed(seed), checks.flag("quiet", quiet)
    count = checks.optional(checks.whole, "n_projections", n_projections)
    _check_options(method, p, n_projections=count, eps=eps, spacing=spacing)
    if method == "entropic":
        for name, value in (("support", support), ("n_support", n_support)):
            _refuse(name, value, 'method "entropic"')
        return images.answer(samples, weights, eps, spacing, tol, max_iter, quiet)
    kind, flat, problem, given = _enter(samples, weights, p)
    dimension = len(problem.centre)
    _check_support(method, dimension, support, n_support)
    if method == "gaussian":
        found = _gaussian(problem, tol, max_iter)
    elif method == "exact" and dimension == 1:
        parts = [list(side) for side in zip(*problem.samples, strict=True)]
        x, w = line.barycenter([x[:, 0] for x in parts[0]], parts[1], problem.shares, p)
        words = ("closed form", True, "exact: averaged quantiles", 0, 0.0)
        found = BarycenterResult(x[:, None], w, p, *words)
    else:
        first = _support(problem, support, n_support, seed, kind)
        lines = None
        if method == "sliced":
            count = count or max(_LINES, dimension)
            if count < dimension:
                raise ValueError(
                    f"n_projections must be at least {dimension}, the dimension: got {count}"
                )
            rng = np.random.default_rng(seed)
            lines = directions.draw("orthogonal", count, dimension, rng).rows
        found = _free(problem, first, lines, tol, max_iter, quiet)
    if not found.converged:
        warn_caller(found.message)

    def leave(values: Any) -> Any:
        return None if values is None else kind.array(torch.as_tensor(values, device=kind.device))

    points = np.asarray(found.points) + problem.centre
    mean = None if found.mean is None else np.asarray(found.mean) + problem.centre
    return replace(
        found,
        points=leave(points[:, 0] if flat else points),
        weights=leave(found.weights),
        mean=leave(mean),
        covariance=leave(found.covariance),
        seconds=time.perf_counter() - started,
        _samples=given,
        _shares=problem.shares.tolist(),
    )


def _free(
    problem: _Problem,
    support: np.ndarray,
    lines: np.ndarray | None,
    tol: float,
    max_iter: int,
    quiet: bool,
) -> BarycenterResult:
    """Free support with uniform weights, by exact plans or along lines."""
    weights = np.full(len(support), 1 / len(support))
    used = problem.shares > 0
    samples = [pair for pair, use in zip(problem.samples, used, strict=True) if use]
    with progress("barycenter", quiet=quiet) as say:
        stop: dict[str, Any] = {"tol": tol, "max_iter": max_iter, "say": say}
        shares = problem.shares[used]
        if lines is None:
            found = free.barycenter(support, weights, samples, shares, problem.p, **stop)
        else:
            found = sliced.barycenter(support, samples, shares, lines, **stop)
    steps = len(found.history) - 1
    message = "the objective came to rest"
    if not found.converged:
        message = f"the objective still fell after {steps} steps: raise max_iter or tol"
    name = "free support" if lines is None else "sliced"
    return BarycenterResult(
        found.points, weights, problem.p, name, found.converged, message, steps, 0.0,
        found.history,
    )  # fmt: skip


def _gaussian(problem: _Problem, tol: float, max_iter: int) -> BarycenterResult:
    """The Gaussian barycenter, and the samples moved onto it."""
    fitted = []
    for x, a in problem.samples:
        mean = a @ x
        around = x - mean
        fitted.append((mean, (around * a[:, None]).T @ around))
    found = gaussian.barycenter(fitted, problem.shares, tol=tol, max_iter=max_iter)
    moved = [
        gaussian.moved(x, fit, found) for (x, _), fit in zip(problem.samples, fitted, strict=True)
    ]
    mass = [share * a for share, (_, a) in zip(problem.shares, problem.samples, strict=True)]
    message = "the covariance came to rest"
    if not found.converged:
        message = f"the covariance still changed after {found.iterations} steps: raise max_iter"
    return BarycenterResult(
        np.concatenate(moved), np.concatenate(mass), 2.0, "gaussian", found.converged, message,
        found.iterations, 0.0, mean=found.mean, covariance=found.covariance,
    )  # fmt: skip


def _enter(
    samples: Any, weights: Any, p: float
) -> tuple[Kind, bool, _Problem, list[tuple[Any, Any]]]:
    """Validated samples in float64 around their common mean, and as they were given."""
    if not isinstance(samples, Sequence | np.ndarray | Tensor) or len(samples) == 0:
        raise TypeError("samples must be a sequence of samples, at least one")
    given = [_split(entry) for entry in samples]
    names = [f"samples[{k}]" for k in range(len(given))]
    kind, raw = enter(**{name: x for name, (x, _) in zip(names, given, strict=True)})
    flat = raw[names[0]].ndim == 1
    parts = []
    for name, (x, a) in zip(names, given, strict=True):
        tensor = raw[name]
        if tensor.requires_grad:
            raise TypeError(f"{name} requires a gradient, which a barycenter does not carry")
        points = checked_sample(x, name)
        parts.append((points, checked_weights(a, f"weights of {name}", name, points).detach()))
    dimensions = {points.shape[1] for points, _ in parts}
    if len(dimensions) > 1 or len({raw[name].ndim for name in names}) > 1:
        shapes = ", ".join(str(tuple(raw[name].shape)) for name in names[:6])
        raise ValueError(f"samples must have the same dimension: got shapes {shapes}")
    shares = checked_weights(weights, "weights", "samples", torch.empty(len(parts))).numpy()
    plain = [(x.double().cpu().numpy(), a.cpu().numpy()) for x, a in parts]
    centre = sum(s * (a @ x) for s, (x, a) in zip(shares, plain, strict=True))
    around = [(x - centre, a) for x, a in plain]
    return kind, flat, _Problem(around, shares, p, np.asarray(centre)), given


def _split(entry: Any) -> tuple[Any, Any]:
    """(points, weights) of one sample; a pair of arrays of other ranks is one with weights."""
    if isinstance(entry, tuple) and len(entry) == 2:
        return entry
    return entry, None


def _check_options(method: str, p: float, **own: Any) -> None:
    """Refuse options of another method, and exponents that a method does not have."""
    if method != "exact" and p != 2:
        raise ValueError(f'p must be 2 for method "{method}": got {p:g}')
    for name, value in own.items():
        owner = "sliced" if name == "n_projections" else "entropic"
        if value is not None and method != owner:
            raise ValueError(f'{name} must be None for method "{method}": it is for "{owner}"')


def _check_support(method: str, d: int, support: Any, n_support: Any) -> None:
    """Refuse what cannot apply."""
    own = method == "gaussian" or (method == "exact" and d == 1)
    for name, value in (("support", support), ("n_support", n_support)):
        if own:
            _refuse(
                name, value, 'method "gaussian"' if method == "gaussian" else "samples on the line"
            )
    if support is not None and n_support is not None:
        raise ValueError("n_support must be None where support is given")


def _refuse(name: str, value: Any, what: str) -> None:
    if value is not None:
        raise ValueError(f"{name} must be None for {what}, which has a support of its own")


def _support(
    problem: _Problem, support: Any, count: Any, seed: int | None, kind: Kind
) -> np.ndarray:
    """The initial support (k, d), around the origin: as given, or rows drawn from the samples."""
    d = len(problem.centre)
    if support is not None:
        points = checked_sample(support, "support")
        if points.shape[1] != d:
            raise ValueError(f"support must have shape (k, {d}): got {tuple(points.shape)}")
        return points.double().cpu().numpy() - problem.centre
    largest = max(len(x) for x, _ in problem.samples)
    count = checks.optional(checks.whole, "n_support", count) or min(largest, LARGEST_SUPPORT)
    rng = np.random.default_rng(seed)
    # All rows of the sample of the largest weight, once each, where that gives the number asked
    # for: a plan to it is then the identity. Otherwise rows of all samples, as weights ask.
    x, a = problem.samples[int(problem.shares.argmax())]
    if len(x) == count and np.ptp(a) == 0:
        return x.copy()
    rows = np.concatenate([x for x, _ in problem.samples])
    mass = zip(problem.shares, problem.samples, strict=True)
    chance = np.concatenate([share * a for share, (_, a) in mass])
    enough = int((chance > 0).sum()) >= count
    return rows[rng.choice(len(rows), count, replace=not enough, p=chance / chance.sum())]
