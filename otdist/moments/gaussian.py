r"""Bures–Wasserstein: W_2 between Gaussians, from the first two moments.

    W_2² = ‖m_x − m_y‖² + tr A + tr B − 2 F(A, B),    F = tr (A^{1/2} B A^{1/2})^{1/2}.

F is a sum of roots of eigenvalues of a symmetric matrix: real, however singular A and B are. Its
derivatives are halves of the transport maps between the Gaussians,

    ∂F/∂A = ½ A^{−1/2} (A^{1/2} B A^{1/2})^{1/2} A^{−1/2},    ∂F/∂B with A and B exchanged,

with pseudo-inverses where a covariance is singular: directions without variance are dropped, along
which F has a root's infinite slope.
"""

from __future__ import annotations

import torch
from torch import Tensor

from otdist.core.gradient import attach
from otdist.core.measure import Measure, Pair


def cost(pair: Pair) -> Tensor:
    """W_2² between the fitted Gaussians in scaled units; 0-d, float64, first-order graph."""
    return between(moments(pair.x), moments(pair.y))


def between(x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> Tensor:
    """W_2² between Gaussians of given mean (d,) and covariance (d, d), float64."""
    (mean_x, cov_x), (mean_y, cov_y) = x, y
    shift = (mean_x - mean_y).square().sum()
    spread = cov_x.diagonal().sum() + cov_y.diagonal().sum() - 2 * _fidelity(cov_x, cov_y)
    return shift + spread.clamp(min=0)


def moments(measure: Measure) -> tuple[Tensor, Tensor]:
    """Weighted mean (d,) and covariance (d, d), float64."""
    points, weights = measure.points.double(), measure.weights
    mean = weights @ points
    centred = points - mean
    return mean, (centred * weights[:, None]).T @ centred


def _fidelity(a: Tensor, b: Tensor) -> Tensor:
    """F(A, B), with the maps as its gradients."""
    with torch.no_grad():
        root_a, inverse_a = _roots(a)
        middle, _ = _roots(root_a @ b @ root_a)
        value = middle.diagonal().sum()

    def gradients() -> list[Tensor]:
        root_b, inverse_b = _roots(b.detach())
        other, _ = _roots(root_b @ a.detach() @ root_b)
        return [inverse_a @ middle @ inverse_a / 2, inverse_b @ other @ inverse_b / 2]

    return attach(value, [a, b], gradients)


def _roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The positive root of a positive semidefinite matrix, and the root's pseudo-inverse."""
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    values = values.clamp(min=0)
    floor = values[-1] * len(values) * torch.finfo(values.dtype).eps
    roots = values.sqrt()
    inverse = torch.where(values > floor, roots.clamp(min=torch.finfo(values.dtype).tiny) ** -1, 0)
    return (vectors * roots) @ vectors.T, (vectors * inverse) @ vectors.T
