"""The largest W_p along a direction: a lower bound of W_p."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch

from otdist.core import checks
from otdist.core.measure import SamplePair
from otdist.discrepancy.base import Discrepancy, Figure, Limit, Options, even, only
from otdist.discrepancy.limit import Linear, cost_units, of_influence, without_bias
from otdist.discrepancy.rows import halves
from otdist.discrepancy.wasserstein import EXACT_ROWS, above_one
from otdist.line import univariate
from otdist.sliced.max_sliced import largest


@dataclass(frozen=True)
class MaxSliced(Discrepancy):
    """W_p along the best direction that a few climbs find."""

    p: float = 1
    n_starts: int = field(default=8, metadata=only("distance"))
    max_iter: int = field(default=60, metadata=only("distance"))

    most_rows: ClassVar[int | None] = EXACT_ROWS
    no_limit: ClassVar[str] = ""
    in_intervals: ClassVar[Options] = {"p": 2}

    def __post_init__(self) -> None:
        starts, steps = checks.sizes(n_starts=self.n_starts, max_iter=self.max_iter)
        checks.settle(self, p=checks.exponent(self.p), n_starts=starts, max_iter=steps)

    @property
    def title(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The exponent and the units."""
        return f"largest W_{self.p:g} along a direction, units of x"

    @property
    def quantity(self) -> str:
        """The name, with the exponent."""
        return f"max-SW_{self.p:g}"

    def numbers(self, pair: SamplePair) -> int:
        """Projections."""
        return pair.size * self.n_starts

    def answer(self, pair: SamplePair, seed: int | None = 0) -> Any:
        """The result with its direction."""
        return largest(pair, self.p, self.n_starts, self.max_iter, seed)

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """W_p along the direction found."""
        return Figure(float(self.answer(pair, seed).distance))

    def limit(self, pair: SamplePair, seed: int | None, figure: Figure | None = None) -> Limit:
        """A lower bound along a direction that one half of the rows chooses, the other measures."""
        above_one(self.p)
        rng = np.random.default_rng(seed)
        x, y = (z.points.detach().double().cpu() for z in (pair.x, pair.y))
        (i, held_x), (j, held_y) = (halves(z.numpy(), rng) for z in (x, y))
        chosen = replace(pair, x=even(x[i]), y=even(y[j]))
        direction = torch.as_tensor(self.answer(chosen, seed).directions)[0].double().cpu()
        line = replace(
            pair,
            x=even((x[held_x] @ direction)[:, None]),
            y=even((y[held_y] @ direction)[:, None]),
        )
        part = _on_the_line(line, self.p, seed)
        terms = [np.zeros(len(x)), np.zeros(len(y))]
        terms[0][held_x], terms[1][held_y] = part.x, part.y
        return replace(part, x=terms[0], y=terms[1], one_sided=True)


def _on_the_line(pair: SamplePair, p: float, seed: int | None) -> Linear:
    """The limit of W_p^p along a direction that was found on other rows."""
    x, y = (z.points[:, 0] for z in (pair.x, pair.y))

    def half(i: np.ndarray, j: np.ndarray) -> float:
        return float(univariate.cost(x[i], y[j], p))

    units = cost_units(pair.scale, p)
    value = without_bias(float(univariate.cost(x, y, p)), half, pair, seed) * units
    f, g = (h.numpy() * units for h in univariate.potentials(x, y, p))
    words = f"the population's largest W_{p:g}^{p:g} along a direction, and its W_{p:g}^{p:g}"
    return of_influence(value, f, g, f"W_{p:g}^{p:g} along a direction", words, p=p, unbiased=True)
