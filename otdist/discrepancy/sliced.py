r"""SW_p, the average over directions of W_p^p on the line, then the root.

For labellings, projections are sorted once. At p = 1, with C_k of the first k sorted points in x
and gaps δ_k,

.. math::  W_1 = \sum_k |C_k / n - (k - C_k) / m|\, δ_k = \frac{1}{nm} \sum_k |N C_k - k n|\, δ_k ,

so that a labelling costs one cumulative sum of integers.

At p > 1 the influence function is the average of the potentials on the line (Xi and Niles-Weed
2022, Distributional convergence of the sliced Wasserstein process), plus the noise of directions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.measure import SamplePair
from otdist.core.progress import portions
from otdist.core.threads import each
from otdist.discrepancy.base import Discrepancy, Figure, Limit, Options, masses, only, pooled
from otdist.discrepancy.limit import Linear, cost_units, of_influence, without_bias
from otdist.discrepancy.projections import Projections, project
from otdist.discrepancy.wasserstein import above_one
from otdist.line import univariate
from otdist.sliced import directions as families
from otdist.sliced import sliced
from otdist.sliced.directions import Directions
from otdist.sliced.slices import mean_slice_cost

_BLOCK = 1 << 18
"""Entries of cumulative sums at a time: they stay in cache."""


@dataclass(frozen=True)
class SlicedDistance(Discrepancy):
    """SW_p over random directions, or given ones."""

    p: float = 1
    n_projections: int | None = None
    directions: Any = field(default=None, metadata=only("distance"))
    stderr_rtol: float | None = field(default=None, metadata=only("distance"))

    quick: ClassVar[bool] = True
    weighted: ClassVar[bool] = True
    no_limit: ClassVar[str] = ""
    in_tests: ClassVar[Options] = {"n_projections": 100}
    in_intervals: ClassVar[Options] = {"p": 2, "n_projections": sliced.DEFAULT_PROJECTIONS}

    def __post_init__(self) -> None:
        number = checks.optional(checks.whole, "n_projections", self.n_projections)
        checks.settle(self, p=checks.exponent(self.p), n_projections=number)
        self._choice(0)

    @property
    def title(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The exponent and the number of directions."""
        count = self.n_projections or sliced.DEFAULT_PROJECTIONS
        return f"SW_{self.p:g} over {count} directions, units of x"

    @property
    def quantity(self) -> str:
        """SW_p."""
        return f"SW_{self.p:g}"

    def numbers(self, pair: SamplePair) -> int:
        """Projections."""
        return pair.size * (self.n_projections or sliced.DEFAULT_PROJECTIONS)

    def answer(self, pair: SamplePair, seed: int | None = 0) -> Any:
        """The result with slices and directions."""
        return sliced.average(pair, self.p, self._choice(seed))

    def streamed(self, x: Any, y: Any, a: Any, b: Any, seed: int | None = 0) -> Any:
        """The distance, from sketched slices."""
        from otdist.outofcore.functions import sliced_wasserstein

        return sliced_wasserstein(x, y, a=a, b=b, p=self.p, choice=self._choice(seed))

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """The figure that belongs to SW_p."""
        distance = float(sliced.average(pair, self.p, self._choice(seed)).distance)
        return Figure(self._of_distance(distance, pair.x.points.shape[1]))

    def relabelled(self, pair: SamplePair, labels: np.ndarray, seed: int | None) -> np.ndarray:
        """O(L N) for a labelling after L sorts, over the directions of `value`."""
        z, mass = pooled(pair).cpu().numpy(), masses(pair)
        if self.p > 1 and mass is not None:
            return super().relabelled(pair, labels, seed)
        rows = self._drawn(pair, seed).rows[: 1 if z.shape[1] == 1 else None]
        marks = torch.from_numpy(labels)
        totals = torch.zeros(len(labels), dtype=torch.float64)
        along = partial(_along_w1, mass=mass) if self.p == 1 else partial(_along, p=self.p)
        for direction in portions(rows):
            projected = z @ direction
            order = np.argsort(projected)
            line, places = torch.from_numpy(projected[order]), torch.from_numpy(order)

            def work(part: slice, line: Tensor = line, places: Tensor = places) -> None:
                totals[part] += along(line, marks[part].index_select(1, places), places)

            each(_blocks(labels), work, totals.device)
        return (totals / len(rows)).clamp(min=0).numpy() ** (1 / self.p) * pair.scale

    def limit(self, pair: SamplePair, seed: int | None, figure: Figure | None = None) -> Limit:
        """Normal, around the value without its bias."""
        above_one(self.p)
        found = of_slices(pair, self.p, self._drawn(pair, seed), seed)
        return self._of_power(found, pair.x.points.shape[1])

    def prepared(
        self, samples: Sequence[np.ndarray], seed: int | None
    ) -> tuple[Discrepancy, Sequence[np.ndarray]]:
        """Projections, which are taken once for all figures."""
        d = samples[0].shape[1]
        if self.directions is not None or self.stderr_rtol is not None:
            return self, samples
        chosen = self._choice(seed).of(d, np.random.default_rng(seed))
        if (found := project(samples, self.p, chosen)) is None:
            return self, samples
        projected, unit = found

        def linear(pair: SamplePair, seed: int | None) -> Linear:
            above_one(self.p)
            pair = replace(pair, scale=pair.scale * unit)
            found = of_slices(pair, self.p, chosen, seed, projected=True)
            return self._of_power(found, d)

        return Projections(self.p, unit, partial(self._of_distance, d=d), linear), projected

    def _of_distance(self, distance: float, d: int) -> float:
        """The value that belongs to SW_p in d dimensions."""
        return distance

    def _of_power(self, found: Linear, d: int) -> Linear:
        """The limit that belongs to that of SW_p^p."""
        return found

    def _choice(self, seed: int | None) -> sliced.Choice:
        return sliced.Choice(self.n_projections, self.directions, seed, self.stderr_rtol)

    def _drawn(self, pair: SamplePair, seed: int | None) -> Directions:
        return self._choice(seed).of(pair.x.points.shape[1], np.random.default_rng(seed))


@dataclass(frozen=True)
class Mind(SlicedDistance):
    """3 d SW_2² over 1,000 directions (MIND, arXiv 2605.06797): squared units of x.

    SW_2² averages over directions what a mean along the coordinates would sum, hence the factor d.
    """

    p: float = field(default=2.0, init=False)
    n_projections: int | None = 1000

    squared: ClassVar[bool] = False
    in_tests: ClassVar[Options] = {}
    in_intervals: ClassVar[Options] = {}

    @property
    def title(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The formula and the number of directions."""
        count = self.n_projections or sliced.DEFAULT_PROJECTIONS
        return f"3 d SW_2² over {count} directions, squared units of x"

    @property
    def quantity(self) -> str:
        """As it is known."""
        return "MIND"

    def answer(self, pair: SamplePair, seed: int | None = 0) -> Any:
        """The number."""
        return pair.kind.number(torch.tensor(self.value(pair, seed).value, dtype=torch.float64))

    def relabelled(self, pair: SamplePair, labels: np.ndarray, seed: int | None) -> np.ndarray:
        """As SW_2, on the scale of MIND."""
        return 3 * pair.x.points.shape[1] * super().relabelled(pair, labels, seed) ** 2

    def _of_distance(self, distance: float, d: int) -> float:
        return 3 * d * distance**2

    def _of_power(self, found: Linear, d: int) -> Linear:
        return replace(
            found, value=3 * d * found.value, x=3 * d * found.x, y=3 * d * found.y, p=1.0,
            noise=(3 * d) ** 2 * found.noise, quantity="MIND", target="the population's MIND",
        )  # fmt: skip


def of_slices(
    pair: SamplePair, p: float, chosen: Directions, seed: int | None, *, projected: bool = False
) -> Linear:
    """SW_p^p over the chosen directions, p > 1; `seed` chooses the halves.

    The points may be `projected` along them already, the rows then in an order of their own.
    """
    x, y = (z.points.double() for z in (pair.x, pair.y))
    rows = None if projected else torch.from_numpy(chosen.rows).to(x)
    a, b = (torch.full_like(z[:, 0], 1 / len(z)).requires_grad_() for z in (x, y))
    with torch.enable_grad():
        mean, costs = mean_slice_cost(x, y, rows, p, a, b)
        f, g = torch.autograd.grad(mean, (a, b))
    units = cost_units(pair.scale, p)
    spread = families.standard_error(costs.detach().cpu().numpy(), chosen, 1.0)

    def half(i: np.ndarray, j: np.ndarray) -> float:
        return float(mean_slice_cost(x[i], y[j], rows, p)[0])

    value = without_bias(float(mean.detach()), half, pair, seed, sorted_=projected) * units
    f, g = (h.detach().cpu().numpy() * units for h in (f, g))
    power = f"SW_{p:g}^{p:g}"
    line = of_influence(value, f, g, power, f"the population's {power}", p=p, unbiased=True)
    replicates = int(chosen.replicate.max()) + 1
    return replace(line, noise=(spread * units) ** 2, replicates=replicates)


def _blocks(labels: np.ndarray) -> Iterator[slice]:
    """Labellings that are worked on together."""
    step = max(8, _BLOCK // labels.shape[1])
    return (slice(lo, lo + step) for lo in range(0, len(labels), step))


def _along_w1(line: Tensor, marks: Tensor, places: Tensor, mass: Tensor | None) -> Tensor:
    """W_1 for labellings (B, N) of sorted points, from integers: equal labellings tie exactly.

    Args:
        line: The points, (N,).
        marks: Which of them are of the first sample.
        places: Which pooled rows they are.
        mass: Of the pooled rows, where they differ.
    """
    held = marks.double()
    if mass is None:
        all_below, total = torch.arange(1.0, marks.shape[1] + 1, dtype=torch.float64), len(line)
    else:
        mass = mass.cpu()[places]
        held, all_below, total = held * mass, mass.cumsum(0), float(mass.sum())
    held = held.cumsum_(1)
    first = held[:, -1:].clone()
    excess = held[:, :-1].mul_(total).sub_(first * all_below[:-1]).abs_()
    return excess @ line.diff() / (first * (total - first))[:, 0]


def _along(line: Tensor, marks: Tensor, places: Tensor, p: float) -> Tensor:
    """W_p^p for labellings (B, N) of sorted points, those with equal numbers together."""
    numbers, costs = marks.sum(1), torch.empty(len(marks), dtype=torch.float64)
    for number in numbers.unique():
        some = numbers == number
        chosen = marks[some]
        points = line.expand(chosen.shape)
        x, y = (points[m].view(len(chosen), -1) for m in (chosen, ~chosen))
        costs[some] = univariate.cost_of_sorted(x, y, p)
    return costs
