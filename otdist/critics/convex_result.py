"""ConvexDualResult: W_2, its limit and bracket, and the transport map, from a convex potential."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from otdist.core import checks
from otdist.core.measure import SamplePair
from otdist.critics.convex import ConvexPotential
from otdist.critics.fitted import Fitted


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class ConvexDualResult(Fitted):
    """Result of `ConvexDual.fit`, with the attributes of `Fitted`.

    Attributes:
        estimate: Root of the dual value on held-out points, whose expectation is not above W_2²
            between the distributions; 0 where that is negative.
        lower: One-sided 95% confidence limit (Welch's t, corrected for skewness, in squared units)
            of W_2. None for weighted samples.
        critic: The trained potential ψ, in float64, on points of `frame`.

    >>> import numpy as np, otdist
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + [3, 0]
    >>> result = otdist.ConvexDual(steps=20).fit(x, y)
    >>> otdist.wasserstein(x, y, p=2).distance in result.bracket
    True
    >>> bool(np.abs(result.transport(x) - x - [3, 0]).max() < 1)
    True
    """

    critic: ConvexPotential

    _P = 2.0

    def transport(self, points: Any) -> Any:
        """Where points of the first distribution go: ∇ψ, the optimal map to its image.

        Args:
            points: Shape (n, d), or (n,) on the line, numpy or torch.

        Returns:
            The shape and kind of `points`, in their units; without a graph.
        """
        return self._moved(points, self.critic.gradient)

    def inverse(self, points: Any, *, tolerance: float = 1e-7, iterations: int = 500) -> Any:
        """Where points of the second distribution come from: ∇ψ*, by maximising ⟨x, y⟩ − ψ(x).

        Args:
            points: Shape (n, d), or (n,) on the line, numpy or torch.
            tolerance: Residual ‖y − ∇ψ(x)‖ at which to stop, in spreads of the samples.
            iterations: At most.

        Returns:
            The shape and kind of `points`, in their units; without a graph.

        Raises:
            ValueError: points of another dimension, a tolerance that is not positive.
        """
        tolerance = checks.positive("tolerance", tolerance)
        iterations = checks.whole("iterations", iterations)
        return self._moved(
            points, lambda y: self.critic.conjugates(y, tolerance, iterations).points
        )

    def _moved(self, points: Any, move: Callable[[Tensor], Tensor]) -> Any:
        kind, z, flat = self.frame.caller(points)
        moved = self.frame.leave(move(z)).detach()
        return kind.array(moved[:, 0] if flat else moved)

    def _dual(self, pair: SamplePair) -> Tensor:
        x, _ = self.frame.sides(pair)
        with torch.no_grad():
            return x.square().sum(1) - 2 * self.critic(x)

    def _name(self) -> str:
        return "convex potential"

    @classmethod
    def _module(cls, content: dict[str, Any], critic: nn.Module | None) -> nn.Module:
        if critic is not None:
            raise ValueError("the file holds a convex potential: leave out critic=")
        state = content["state"]
        widths = tuple(len(value) for name, value in state.items() if name.endswith("bias"))
        return ConvexPotential(len(state["shift"]), widths)
