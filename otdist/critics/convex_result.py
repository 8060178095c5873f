"""ConvexDualResult: W_2, its limit and bracket, and the transport map, from a convex potential."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from otdist.core import checks, measure, task
from otdist.core.certificate import between, bracket, lower_from_potentials
from otdist.core.measure import Pair
from otdist.core.result import Bracket
from otdist.critics import stored
from otdist.critics.conjugate import conjugate
from otdist.critics.convex import ConvexPotential
from otdist.critics.result import EXACT_PAIRS
from otdist.critics.samples import Frame, entered, original
from otdist.exact.exact import Exact
from otdist.sliced.sliced import Sliced

_FORMAT = "otdist.ConvexDualResult/1"


@dataclass(frozen=True, repr=False, eq=False)
class ConvexDualResult:
    """Result of `ConvexDual.fit`.

    Attributes:
        estimate: Root of the dual value on held-out points, whose expectation is not above W_2²
            between the laws; 0 where that is negative.
        lower: One-sided 95% confidence limit (Welch's t, corrected for skewness, in squared
            units): W_2 between the *laws* is not below it with that confidence. None for weighted
            samples.
        critic: The trained potential ψ, in float64, on points of `frame`.
        history: One record per validation: step, validation.
        message: What `lower` says, or why there is none.
        seconds: Wall-clock time of the fit.
        frame: Of the potential.
        samples: What was given; None for samplers.
        held_out: The points that `estimate` and `lower` come from.

    >>> import numpy as np, otdist
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + [3, 0]
    >>> result = otdist.ConvexDual(steps=20).fit(x, y)
    >>> otdist.wasserstein(x, y, p=2).distance in result.bracket
    True
    >>> bool(np.abs(result.transport(x) - x - [3, 0]).max() < 1)
    True
    """

    estimate: float
    lower: float | None
    critic: ConvexPotential
    history: list[dict[str, Any]]
    message: str
    seconds: float
    frame: Frame
    samples: Pair | None
    held_out: Pair

    def transport(self, points: Any) -> Any:
        """Where points of the first law go: ∇ψ, the optimal map from any law to its image.

        Args:
            points: Shape (n, d), or (n,) on the line, numpy or torch.

        Returns:
            The shape and kind of `points`, in their units; without a graph.
        """
        return self._moved(points, self.critic.gradient)

    def inverse(self, points: Any, *, tolerance: float = 1e-7, iterations: int = 500) -> Any:
        """Where points of the second law come from: ∇ψ*, by maximising ⟨x, y⟩ − ψ(x).

        Args:
            points: Shape (n, d), or (n,) on the line, numpy or torch.
            tolerance: Residual ‖y − ∇ψ(x)‖ at which to stop, in spreads of the samples.
            iterations: At most.

        Returns:
            The shape and kind of `points`, in their units; without a graph.

        Raises:
            ValueError: points of another dimension, a tolerance that is not positive.
        """
        checks.positive("tolerance", tolerance)
        checks.whole("iterations", iterations)
        psi = self.critic

        def back(y: Tensor) -> Tensor:
            start = torch.linalg.inv(psi.hessian())
            first = (y - psi.shift.detach()) @ start
            return conjugate(
                psi, y, first, start, tolerance=tolerance, iterations=iterations
            ).points

        return self._moved(points, back)

    def _moved(self, points: Any, move: Any) -> Any:
        kind, z, flat = entered(points, self.frame)
        moved = self.frame.leave(move(z)).detach()
        return kind.array(moved[:, 0] if flat else moved)

    @cached_property
    def bracket(self) -> Bracket:
        """Certified bracket on W_2 between the *given* samples, computed when first asked for.

        The lower end is the c-transform of ‖x‖² − 2ψ(x); the upper end is the exact distance of
        small problems, the cost of a feasible plan of large ones.

        Raises:
            ValueError: the potential was fitted to samplers.

        Cost: O(n m d).
        """
        whole = self.samples
        if whole is None:
            raise ValueError("there are no given samples: the potential was fitted to samplers")
        job = task.of_pair(whole, 2.0)
        x = self.frame.enter(original(whole.x, whole))
        with torch.no_grad():
            f = x.square().sum(1) - 2 * self.critic(x)
        f = f * (self.frame.scale / whole.scale) ** 2
        dual = lower_from_potentials(job.cost, job.a, job.b, f=f)
        exact = len(whole.x) * len(whole.y) <= EXACT_PAIRS
        upper = (Exact() if exact else Sliced()).solve(job).upper
        lower = bracket(dual.cost, float("inf"), 2.0, job.scale).lower
        return between(lower, upper)

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one file, which holds tensors and plain values only."""
        content = {
            "format": _FORMAT,
            **{name: getattr(self, name) for name in _PLAIN},
            "state": self.critic.state_dict(),
            "frame": (self.frame.centre, self.frame.scale),
            "samples": stored.points_of(self.samples),
            "held_out": stored.points_of(self.held_out),
        }
        torch.save(content, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ConvexDualResult:
        """Read what `save` wrote; nothing in the file is executed.

        Raises:
            ValueError: not such a file.
        """
        content = stored.tensors_in(path, _FORMAT, "ConvexDualResult")
        state = content["state"]
        widths = tuple(len(value) for name, value in state.items() if name.endswith("bias"))
        potential = ConvexPotential(len(state["shift"]), widths).double()
        potential.load_state_dict(state)
        samples = content["samples"]
        return cls(
            **{name: content[name] for name in _PLAIN},
            critic=potential.eval(),
            frame=Frame(*content["frame"]),
            samples=None if samples is None else measure.pair(*samples),
            held_out=measure.pair(*content["held_out"]),
        )

    def __float__(self) -> float:
        return self.estimate

    def __repr__(self) -> str:
        proof = "weighted, no limit" if self.lower is None else f"≥ {self.lower:.5g} with 95%"
        return f"W_2 ≈ {self.estimate:.5g}  {proof}  convex potential, {self.seconds:.2f} s"


_PLAIN = ("estimate", "lower", "history", "message", "seconds")
