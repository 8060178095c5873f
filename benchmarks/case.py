"""What a benchmark is made of: a case (one problem, its truth) and its competitors.

A competitor is a function that *prepares*: it imports its library, converts the inputs, and returns
the call to be timed. What the call returns is an `Outcome`, so that a number without its error, or
a failure without a row, cannot happen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

OURS = "otdist"


@dataclass(frozen=True)
class Outcome:
    """What one call found.

    Attributes:
        value: The quantity of the case; every competitor converts to the same one.
        lower: Certified bound, where the competitor gives one.
        upper: Certified bound, likewise.
        converged: What the competitor says of itself; None where it says nothing.
        late: The outcome proper, where it takes time that is not the call's: what `otdist.certify`
            says of a plan that another library found.
    """

    value: float
    lower: float | None = None
    upper: float | None = None
    converged: bool | None = None
    late: Callable[[], Outcome] | None = None


Inputs = Mapping[str, Any]
Call = Callable[[], Outcome]
Competitor = Callable[[Inputs], Call]


@dataclass(frozen=True)
class Case:
    """One problem at one size.

    Attributes:
        name: Of the problem, such as "gaussians".
        quantity: What is computed, such as "W_1"; empty where only the work is timed.
        n: Points of the first sample.
        m: Points of the second sample.
        d: Dimension.
        p: Exponent.
        make: seed → the inputs, numpy arrays and numbers by name.
        competitors: By name; `OURS` must be among them.
        truth: Inputs → the exact value; None where nobody knows, then errors are left out.
        parameters: What else matters, such as {"eps": 0.1}; shown in the table.
        quick: Whether the case belongs to the subset that takes minutes.
        limit: Seconds that one call may take, where that is another time than for other cases.
    """

    name: str
    quantity: str
    n: int
    m: int
    d: int
    p: float
    make: Callable[[int], Inputs]
    competitors: Mapping[str, Competitor]
    truth: Callable[[Inputs], float | None] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    quick: bool = False
    limit: float = 0.0

    @property
    def key(self) -> str:
        """Identifies the case across runs."""
        extra = "".join(f" {name}={value}" for name, value in self.parameters.items())
        sizes = f"n={self.n}" if self.n == self.m else f"n={self.n},{self.m}"
        name = f"{self.quantity} {self.name}".strip()
        return f"{name} {sizes} d={self.d} p={self.p:g}{extra}"

    def describe(self) -> dict[str, Any]:
        """The columns of a row that come from the case."""
        return {
            "case": self.key,
            "problem": self.name,
            "quantity": self.quantity,
            "n": self.n,
            "m": self.m,
            "d": self.d,
            "p": self.p,
            "parameters": dict(self.parameters),
        }
