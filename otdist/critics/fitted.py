"""Fitted: what a trained critic and a trained convex potential have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from os import PathLike
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from otdist.core import task
from otdist.core.certificate import between, bracket, lower_from_potentials
from otdist.core.measure import SamplePair
from otdist.core.result import Bracket
from otdist.core.shown import Shown
from otdist.critics import stored
from otdist.critics.samples import Frame
from otdist.exact.exact import Exact
from otdist.sliced.sliced import Sliced

EXACT_PAIRS = 2000 * 2000
"""Up to so many pairs the upper bound is the exact distance; above, the best plan of a slice."""


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Fitted(Shown):
    """Result of a fit; the base of `DualResult` and `ConvexDualResult`.

    Attributes:
        estimate: What held-out points say; see the result.
        lower: One-sided 95% confidence limit: W_p between the *distributions* is not below it with
            that confidence. None where there is none; `message` says why.
        critic: The trained module, in float64, on points of `frame`.
        history: One record per validation.
        message: What `lower` says, or why there is none; the remedy where training diverged.
        converged: False where training diverged: its scores are not finite, or rounding hides them.
        seconds: Wall-clock time of the fit.
        frame: Of the critic.
        samples: What was given; None for samplers and large memory maps.
        held_out: Points that the critic has not seen, which `estimate` and `lower` come from; with
            folds, those of the first fold, while `estimate` and `lower` come from all.
    """

    estimate: float
    lower: float | None
    critic: nn.Module
    history: list[dict[str, Any]]
    message: str
    converged: bool = True
    seconds: float
    frame: Frame
    samples: SamplePair | None
    held_out: SamplePair

    _P: ClassVar[float]

    def _dual(self, pair: SamplePair) -> Tensor:
        """A dual potential at the points of the first sample, in W_p^p of the frame."""
        raise NotImplementedError

    def _name(self) -> str:
        """What the critic is, for `repr`."""
        raise NotImplementedError

    @classmethod
    def _module(cls, content: dict[str, Any], critic: nn.Module | None) -> nn.Module:
        """The module of a file, before its parameters are loaded."""
        raise NotImplementedError

    @cached_property
    def bracket(self) -> Bracket:
        """Certified bracket on W_p between the *given* samples, computed when first asked for.

        The lower end is the c-transform of the critic's values, a proof for any critic; the upper
        end is the exact distance of small problems, the cost of a feasible plan of large ones.

        Raises:
            ValueError: the critic was fitted to samplers, or to a large memory map.

        Cost: O(n m d).
        """
        whole, p = self.samples, self._P
        if whole is None:
            raise ValueError(
                "there are no given samples: the critic was fitted to samplers, or to a memory "
                "map, of which only batches were read"
            )
        job = task.of_pair(whole, p)
        upper = (Exact() if self.upper_is_exact else Sliced()).solve(job).upper
        f = self._dual(whole) * (self.frame.scale / whole.scale) ** p
        if not bool(f.isfinite().any()):  # the critic of a fit that diverged proves nothing
            return between(0.0, upper)
        f = torch.where(f.isfinite(), f, -float("inf"))
        dual = lower_from_potentials(job.cost, job.a, job.b, f=f)
        return between(bracket(dual.cost, float("inf"), p, job.scale).lower, upper)

    @property
    def upper_is_exact(self) -> bool:
        """Whether the upper end of `bracket` is the exact distance of the given samples."""
        whole = self.samples
        return whole is not None and len(whole.x) * len(whole.y) <= EXACT_PAIRS

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one file, which holds tensors and plain values only."""
        content = {
            "format": self._format(),
            **{name: getattr(self, name) for name in self._plain()},
            "state": self.critic.state_dict(),
            "frame": (self.frame.centre, self.frame.scale),
            "samples": stored.points_of(self.samples),
            "held_out": stored.points_of(self.held_out),
        }
        torch.save(content, path)

    @classmethod
    def load(cls, path: str | PathLike[str], critic: nn.Module | None = None) -> Self:
        """Read what `save` wrote; nothing in the file is executed.

        Args:
            path: The file.
            critic: For a module of your own: one of the same architecture, not changed.

        Raises:
            ValueError: not such a file, or a `critic` that is missing or not called for.
        """
        content = stored.tensors_in(path, cls._format(), cls.__name__)
        content["frame"] = Frame(*content["frame"])
        module = cls._module(content, critic).double()
        try:
            module.load_state_dict(content["state"])
        except RuntimeError as error:
            raise ValueError(f"critic must have the architecture that was saved: {error}") from None
        pairs: dict[str, Any] = {
            name: stored.pair_of(content[name]) for name in ("samples", "held_out")
        }
        plain = {name: content[name] for name in cls._plain()}
        return cls(**plain, **pairs, critic=module.eval(), frame=content["frame"])

    @classmethod
    def _plain(cls) -> list[str]:
        apart = ("critic", "frame", "samples", "held_out")
        return [field.name for field in fields(cls) if field.name not in apart]

    @classmethod
    def _format(cls) -> str:
        return f"{cls.__name__}/2"

    def __float__(self) -> float:
        return self.estimate

    def __repr__(self) -> str:
        proof = "no limit" if self.lower is None else f"≥ {self.lower:.5g} with 95%"
        name = f"W_{self._P:g} ≈ {self.estimate:.5g}"
        return f"{name}  {proof}  {self._name()}, {self.seconds:.2f} s"
