r"""Transport between Gaussian mixtures, component by component.

A plan between two mixtures that is itself a Gaussian mixture moves mass between components at the
Bures–Wasserstein cost of each pair:

.. math::  MW_2^2 = \min_{P \ge 0,\; P1 = w,\; P^\top 1 = w'}
           \sum_{kl} P_{kl} \, W_2^2\big(N(m_k, C_k), N(m'_l, C'_l)\big) .

It is a small exact problem, it restricts the plans, and so it is an upper bound of W_2 between the
mixtures; the two differ by at most √2 (Σ w_k tr C_k)^{1/2} + √2 (Σ w'_l tr C'_l)^{1/2}.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from otdist.core.arrays import Kind, enter
from otdist.core.gradient import root
from otdist.core.modes import full_precision
from otdist.core.result import OTResult
from otdist.moments.gaussian import between
from otdist.solve import transport

_SYMMETRIC = 1e-6  # of the largest entry: what float32 covariances reach
_UNIT = torch.finfo(torch.float64).eps


@full_precision()
def mixture_wasserstein(x: Any, y: Any) -> OTResult:
    """MW_2 between two Gaussian mixtures: exact transport between their components.

    Args:
        x: (weights (k,), means (k, d), covariances (k, d, d)), or a fitted
            `sklearn.mixture.GaussianMixture` of any covariance type. Weights sum to one.
        y: The other mixture, of l components, likewise.

    Returns:
        `distance` MW_2 in the units of the means, `cost` MW_2², the plan (k, l) between components,
        potentials, and a bracket on MW_2; all as of `transport`, at p = 2. MW_2 is an upper bound
        of W_2 between the mixtures.

    Raises:
        TypeError: neither three arrays nor a fitted mixture; not numbers; numpy beside torch.
        ValueError: shapes that do not fit, values not finite, covariances not symmetric or with a
            negative eigenvalue (the component is named), weights negative or not of sum one.

    Gradients: weights, means and covariances, first order; covariances by the transport map, where
        they are singular by its pseudo-inverse.
    Cost: k·l roots of d × d matrices, O(k l d³), and one small exact problem.
    Reference: Delon and Desolneux (2020), A Wasserstein-type distance in the space of Gaussian
        mixture models.

    >>> import numpy as np
    >>> one = ([1.0], [[0.0, 0.0]], [np.eye(2)])
    >>> two = ([0.5, 0.5], [[3.0, 0.0], [-3.0, 0.0]], [np.eye(2), np.eye(2)])
    >>> round(float(mixture_wasserstein(one, two)), 9)
    3.0
    """
    kind, (w, m, c), (v, n, e) = _enter(x, y)
    if m.shape[1] != n.shape[1]:
        raise ValueError(
            f"x and y must have the same dimension: means of x have shape {tuple(m.shape)}, "
            f"means of y {tuple(n.shape)}"
        )
    costs = torch.stack(
        [
            torch.stack([between((m[k], c[k]), (n[j], e[j])) for j in range(len(n))])
            for k in range(len(m))
        ]
    )
    found = transport(costs, a=w, b=v)
    # Each cost is off by roundings of the moments that it is a difference of.
    size = float(max(_size(m, c), _size(n, e)))
    slack = 64 * len(m.T) * _UNIT * size
    lower, upper = (max(end, 0.0) ** 0.5 for end in (found.lower - slack, found.upper + slack))
    f, g = (torch.as_tensor(potential) for potential in found.potentials)
    plan = found.plan if kind.torch else _scipy(found.plan)
    return replace(
        found,
        distance=kind.number(root(found.cost, 2)),
        cost=kind.number(found.cost),
        p=2.0,
        lower=lower,
        upper=upper,
        message="exact transport between components",
        _potentials=lambda: (kind.array(f), kind.array(g)),
        _plan=lambda: plan,
    )


Mixture = tuple[Tensor, Tensor, Tensor]


def _enter(x: Any, y: Any) -> tuple[Kind, Mixture, Mixture]:
    """Both mixtures as float64 tensors with their graphs, validated."""
    parts = {}
    for name, mixture in (("x", x), ("y", y)):
        fields = ("weights", "means", "covariances")
        for word, part in zip(fields, _parts(mixture, name), strict=True):
            parts[f"{word} of {name}"] = part
    kind, tensors = enter(**parts)
    tensors = [tensor.double() for tensor in tensors.values()]
    first, second = (_checked(*tensors[k : k + 3], name) for k, name in ((0, "x"), (3, "y")))
    return kind, first, second


def _parts(mixture: Any, name: str) -> tuple[Any, Any, Any]:
    """Weights, means and covariances as they were given."""
    if hasattr(mixture, "covariance_type"):
        if not hasattr(mixture, "covariances_"):
            raise TypeError(f"{name} must be a fitted mixture: call fit first")
        return mixture.weights_, mixture.means_, _full(mixture)
    if isinstance(mixture, tuple | list) and len(mixture) == 3:
        return tuple(mixture)  # pyright: ignore[reportReturnType]
    raise TypeError(
        f"{name} must be (weights, means, covariances) or a fitted GaussianMixture: "
        f"got a {type(mixture).__name__}"
    )


def _full(mixture: Any) -> Any:
    """Covariances (k, d, d) of a scikit-learn mixture of any type."""
    k, d = mixture.means_.shape
    stored = torch.from_numpy(mixture.covariances_)
    if mixture.covariance_type == "tied":
        stored = stored.expand(k, d, d)
    elif mixture.covariance_type == "diag":
        stored = torch.diag_embed(stored)
    elif mixture.covariance_type == "spherical":
        stored = stored[:, None, None] * torch.eye(d, dtype=stored.dtype)
    return stored.numpy()


def _checked(weights: Tensor, means: Tensor, covariances: Tensor, name: str) -> Mixture:
    """One mixture whose shapes fit and whose covariances are such."""
    if means.ndim != 2 or 0 in means.shape:
        raise ValueError(f"means of {name} must have shape (k, d): got {tuple(means.shape)}")
    k, d = means.shape
    if covariances.shape != (k, d, d):
        raise ValueError(
            f"covariances of {name} must have shape {(k, d, d)} beside means of shape {(k, d)}: "
            f"got {tuple(covariances.shape)}"
        )
    if weights.shape != (k,):
        raise ValueError(
            f"weights of {name} must have shape {(k,)} beside means of shape {(k, d)}: "
            f"got {tuple(weights.shape)}"
        )
    plain = covariances.detach()
    for word, part in (("means", means), ("covariances", covariances)):
        bad = ~torch.isfinite(part.detach()).flatten(1).all(1)
        if bool(bad.any()):
            raise ValueError(f"{word} of {name} must be finite: component {int(bad.nonzero()[0])}")
    largest = plain.abs().amax((1, 2))
    skew = (plain - plain.mT).abs().amax((1, 2)) > _SYMMETRIC * largest
    negative = torch.linalg.eigvalsh((plain + plain.mT) / 2)[:, 0] < -_SYMMETRIC * largest
    for word, bad in (("symmetric", skew), ("without negative eigenvalues", negative)):
        if bool(bad.any()):
            raise ValueError(
                f"covariances of {name} must be {word}: component {int(bad.nonzero()[0])} is not"
            )
    return weights, means, (covariances + covariances.mT) / 2


def _size(means: Tensor, covariances: Tensor) -> Tensor:
    """The largest second moment of a component about the origin."""
    traces = covariances.detach().diagonal(dim1=1, dim2=2).sum(1)
    return (means.detach().square().sum(1) + traces).max()


def _scipy(plan: Tensor) -> Any:
    """A torch sparse plan as `scipy.sparse`, as callers of numpy get it."""
    import scipy.sparse

    rows, cols = plan.indices().numpy()
    return scipy.sparse.coo_array((plan.values().numpy(), (rows, cols)), shape=tuple(plan.shape))
