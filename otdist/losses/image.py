"""ImageSinkhornLoss: the debiased entropic divergence between images, axis by axis."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from otdist import masses
from otdist.core import checks
from otdist.core.measure import weight_tolerance
from otdist.core.modes import full_precision, refuse_transforms
from otdist.core.result import warn_caller
from otdist.core.threads import threads_for
from otdist.entropic.images import Objective, Pictures
from otdist.entropic.sinkhorn import (
    REACH,
    check_eps,
    check_reach,
    check_stop,
    not_converged,
)
from otdist.losses._batch import REDUCTIONS, check_debiased, normalised, reduce


class ImageSinkhornLoss(nn.Module):
    r"""S_eps between images as distributions of mass over pixels, without a matrix of costs.

    The ground cost is Σ_k |x_k − y_k|^p over the axes: the squared Euclidean distance at p = 2, the
    cityblock distance at p = 1. It is the value of `otdist.sinkhorn_divergence` between the pixels
    with their masses as weights, at p = 1 with metric="cityblock".

    Args:
        p: Power of the differences of coordinates, from 1 to 2 when debiased, else at least 1.
        eps: Entropic strength in cost units (units of `spacing` to the power p). None takes that of
            one pixel, the largest spacing to the power p.
        debias: Subtract the symmetric terms, which makes the loss 0 for equal images.
        reduction: Of the leading dimensions: "mean", "sum" or "none".
        spacing: Distance between neighbouring pixels, one number or one per axis.
        dims: Number of axes of an image: 2, or 3 for volumes.
        tol: Error to stop at, as for `sinkhorn_divergence`; at 1e-2 values of natural images are
            right to about five digits.
        max_iter: Steps allowed; above it a `ConvergenceWarning` is given.

    Shapes:
        x and y (..., H, W), or (..., D, H, W) where dims is 3; masses are non-negative and each
        image has sum one. The output is a scalar, or (...) without reduction; float32 for half
        precision.

    Raises:
        TypeError: not tensors of floating point.
        ValueError: p out of range, eps, spacing or tol not positive and finite, max_iter below 1;
            shapes that differ, masses that are negative or not of sum one.

    Gradients: x and y (the potentials), first order; a second derivative raises. 0 where the images
        coincide. Defined up to a constant, which is chosen such that the mean under the image is 0.
    Cost: O(H W (H + W)) a step, O(H W) memory; 256 × 256 pixels take 0.6 s at the default.
    Reference: Solomon et al. (2015), Convolutional Wasserstein distances; Feydy et al. (2019).

    >>> import torch
    >>> x, y = torch.zeros(2, 8, 8)
    >>> x[1, 1] = y[1, 4] = 1
    >>> loss = ImageSinkhornLoss()
    >>> round(loss(x, y).item(), 4), loss(x, x).item()
    (9.0, 0.0)
    """

    def __init__(
        self,
        p: float = 2,
        eps: float | None = None,
        debias: bool = True,
        *,
        reduction: str = "mean",
        spacing: Any = 1.0,
        dims: int = 2,
        tol: float = 1e-2,
        max_iter: int = 2000,
    ) -> None:
        super().__init__()
        self.p, self.debias = check_debiased(p, debias)
        self.dims = checks.whole("dims", dims, 1, 3)
        self.spacing = masses.per_axis("spacing", spacing, self.dims, above=0)
        self.eps = check_eps(eps)
        self.tol, self.max_iter = check_stop(tol, max_iter)
        self.reduction = checks.choice("reduction", reduction, REDUCTIONS)

    @full_precision()
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """S_eps of the images x and y (..., H, W), reduced.

        Args:
            x: Masses of the pixels, of sum one.
            y: Masses of the pixels.
        """
        shape = self._check(x, y)
        places, lead = shape[-self.dims :], shape[: -self.dims]
        a, b = (self._masses(image, name) for name, image in (("x", x), ("y", y)))
        # Coordinates in units of the widest image, so that no power overflows.
        unit = max(step * (n - 1) for step, n in zip(self.spacing, places, strict=True)) or 1.0
        axes = tuple(
            torch.arange(n, dtype=torch.float64, device=x.device) * (step / unit)
            for n, step in zip(places, self.spacing, strict=True)
        )
        pictures = Pictures(a, b, axes, axes, self.p)
        eps = self.eps_of_pixel if self.eps is None else self.eps
        scaled = (eps ** (1 / self.p) / unit) ** self.p
        check_reach(eps, scaled >= REACH * pictures.cost.largest)
        with threads_for(a.numel()):
            value = Objective(scaled, self.tol, self.max_iter, self.debias).values(pictures)
        if not value.converged:
            warn_caller(not_converged(self.max_iter, value.error, self.tol))
        work = torch.float64 if x.dtype == torch.float64 else torch.float32
        return reduce((value.cost * unit**self.p).view(lead).to(work), self.reduction)

    @property
    def eps_of_pixel(self) -> float:
        """The strength that None stands for."""
        return max(self.spacing) ** self.p

    def _masses(self, image: Tensor, name: str) -> Tensor:
        """Masses (B, n) of sum one, float64."""
        axes = tuple(range(-self.dims, 0))
        masses = image.double().flatten(-self.dims)
        found = normalised(masses, name, weight_tolerance(image), f"sum({axes}, keepdim=True)")
        assert found is not None
        return found.reshape(-1, found.shape[-1])

    def _check(self, x: Tensor, y: Tensor) -> torch.Size:
        for name, image in (("x", x), ("y", y)):
            checks.instance(name, image, Tensor, "a torch tensor")
            refuse_transforms(image, name)
            if not image.is_floating_point():
                raise TypeError(f"{name} must be floating point: got {image.dtype}")
            if image.ndim < self.dims or 0 in image.shape:
                letters = ", ".join("DHW"[-self.dims :])
                raise ValueError(
                    f"{name} must have shape (..., {letters}) without a 0: got {tuple(image.shape)}"
                )
        if x.shape != y.shape or x.dtype != y.dtype or x.device != y.device:
            raise ValueError(
                "x and y must share shape, dtype and device: "
                f"x is {tuple(x.shape)}, {x.dtype} on {x.device}, "
                f"y is {tuple(y.shape)}, {y.dtype} on {y.device}"
            )
        return x.shape

    def extra_repr(self) -> str:
        """The options, as `print` shows a module."""
        eps = "one pixel" if self.eps is None else f"{self.eps:g}"
        return f"p={self.p:g}, eps={eps}, debias={self.debias}, reduction={self.reduction!r}"
