"""A caller's own function of two samples, as a test takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from otdist.core.measure import SamplePair
from otdist.discrepancy.base import Discrepancy, Figure, in_units


@dataclass(frozen=True)
class OfFunction(Discrepancy):
    """Any function of two samples that does not depend on the order of their rows."""

    function: Callable[[Any, Any], Any]

    title: ClassVar[str] = "a function of two samples"

    @property
    def quantity(self) -> str:
        """The name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """What the function says of samples of the caller's kind."""
        x, y = (pair.kind.array(in_units(z, pair)) for z in (pair.x, pair.y))
        return Figure(float(self.function(x, y)))
