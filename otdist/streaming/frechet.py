"""W_2 between fitted Gaussians (the Fréchet distance) of samples larger than memory."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from otdist.streaming.accumulator import Accumulator
from otdist.streaming.moments import Moments, gaussian_distance


class Frechet(Accumulator):
    """W_2 between the Gaussians with the samples' moments, batch by batch: `gaussian_wasserstein`.

    Means and covariances of batches join without cancellation; deviations below 1e-7 of the largest
    are lost in a covariance, which `gaussian_wasserstein` of samples in memory still has. On
    Inception features the square of the result is the FID, with covariances divided by n.

    Raises:
        ValueError: batches of different dimensions.

    Cost: O(n d²) time, 8 d² bytes for each sample.
    Reference: Gelbrich (1990); Heusel et al. (2017), GANs trained by a two time-scale update rule.

    >>> distance = Frechet().update(x=[[-1.0], [1.0]]).update(y=[[1.0]]).update(y=[[5.0]])
    >>> distance.compute()
    3.1622776601683795
    """

    def __init__(self) -> None:
        self.x = self.y = Moments()

    def compute(self) -> float:
        """W_2 of the fitted Gaussians, in the units of the points.

        Raises:
            ValueError: one of the samples has no points yet, dimensions differ; squares of
                deviations overflow, or vanish although they matter.
        """
        self._need_points()
        if len(self.x.mean) != len(self.y.mean):
            raise ValueError(
                f"x and y must have the same dimension: got {len(self.x.mean)} and "
                f"{len(self.y.mean)}"
            )
        return gaussian_distance(self.x, self.y)

    def _absorb(
        self, sketch: Moments, name: str, points: Tensor, weights: Tensor | None
    ) -> Moments:
        return sketch.add(points, weights)

    def _settings(self) -> dict[str, Any]:
        return {}
