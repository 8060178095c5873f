r"""SSW_p, the sliced distance on the sphere: averages over great circles, then the root.

For labellings at p = 1 each circle is projected and sorted once. With F the difference of both
distribution functions from any place on, W_1 on the circle is the least ∫ |F − c| over c, which a
weighted median attains (Rabin, Delon and Gousseau 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otdist.core import checks, measure
from otdist.core.measure import SamplePair
from otdist.core.progress import portions
from otdist.core.threads import each
from otdist.discrepancy.base import Discrepancy, Figure, Options, pooled
from otdist.metrics.sphere import Angular
from otdist.sliced import circles

_LARGEST_P = 100.0  # 2π and 10⁻³ to this power are numbers
_BLOCK = 1 << 18  # entries of cumulative sums at a time: they stay in cache


class OnSphere(Angular):
    """The angle between unit vectors, and nothing else."""

    def enter(self, points: Tensor, name: str) -> Tensor:
        """Unit vectors, float64, of length one up to their own precision."""
        off = (points.detach().double().norm(dim=1) - 1).abs()
        allowed = max(1e-6, 4 * torch.finfo(points.dtype).eps)
        if not bool((off <= allowed).all()):
            row = int((~(off <= allowed)).nonzero()[0])
            raise ValueError(
                f"{name} must hold unit vectors: row {row} has length "
                f"{float(points[row].detach().double().norm()):.6g}; "
                f"pass {name} divided by the norms of its rows"
            )
        if points.shape[1] < 2:
            raise ValueError(f"{name} must have at least 2 coordinates: got {points.shape[1]}")
        return super().enter(points, name)


@dataclass(frozen=True)
class Spherical(Discrepancy):
    """SSW_p over random great circles, for unit vectors."""

    p: float = 1
    n_projections: int = circles.DEFAULT_CIRCLES

    no_limit: ClassVar[str] = "no limit theorem is known for slices on great circles"
    in_threads: ClassVar[bool] = True
    in_tests: ClassVar[Options] = {"n_projections": 50}

    def __post_init__(self) -> None:
        count = checks.whole("n_projections", self.n_projections)
        checks.settle(self, p=checks.exponent(self.p, most=_LARGEST_P), n_projections=count)

    @property
    def title(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The exponent and the number of circles."""
        return f"spherical SW_{self.p:g} over {self.n_projections} great circles, radians"

    @property
    def quantity(self) -> str:
        """SSW_p."""
        return f"SSW_{self.p:g}"

    def numbers(self, pair: SamplePair) -> int:
        """Angles."""
        return pair.size * self.n_projections

    def frame(self, x: Any, y: Any, a: Any = None, b: Any = None) -> SamplePair:
        """Unit vectors as they are."""
        return measure.pair(x, y, a, b, p=self.p, metric=OnSphere())

    def answer(self, pair: SamplePair, seed: int | None = 0) -> Any:
        """The result with slices and circles."""
        return circles.average(pair, self.p, self.n_projections, seed)

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """SSW_p."""
        return Figure(float(self.answer(pair, seed).distance))

    def relabelled(self, pair: SamplePair, labels: np.ndarray, seed: int | None) -> np.ndarray:
        """O(N log N) a labelling and circle at p = 1, after one sort."""
        if self.p != 1:
            return super().relabelled(pair, labels, seed)
        z = pooled(pair)
        places = circles.angles(z, circles.draw(self.n_projections, z.shape[1], seed)).cpu().numpy()
        totals = np.zeros(len(labels))
        step = max(8, _BLOCK // labels.shape[1])
        parts = [slice(lo, lo + step) for lo in range(0, len(labels), step)]
        for line in portions(places):
            order = line.argsort()
            gaps = np.diff(line[order], append=line[order[0]] + circles.TURN)

            def work(part: slice, order: np.ndarray = order, gaps: np.ndarray = gaps) -> None:
                totals[part] += _around(labels[part][:, order], gaps)

            each(parts, work, z.device)
        return totals / len(places)


def _around(marks: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """W_1 on the circle for labellings (B, N) of sorted points with these gaps after them."""
    number, first = marks.shape[1], int(marks[0].sum())
    excess = marks.cumsum(1) * number - first * np.arange(1, number + 1)
    order = excess.argsort(1)
    half = gaps[order].cumsum(1)
    middle = (half >= half[:, -1:] / 2).argmax(1)
    level = np.take_along_axis(excess, np.take_along_axis(order, middle[:, None], 1), 1)
    return np.abs(excess - level) @ gaps / (first * (number - first))
