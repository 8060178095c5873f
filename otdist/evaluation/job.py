"""One metric of every fake: on all rows or on draws, beside its floor, with interval and p-value.

Rows come in canonical order, so that no draw depends on how they were sorted.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from otdist.core.measure import pair
from otdist.evaluation import metrics as catalogue
from otdist.evaluation.metrics import Call, Figure, Metric
from otdist.evaluation.report import MetricResult
from otdist.inference.intervals import check_rows
from otdist.inference.line import LineLimit
from otdist.inference.linear import NoIntervalError, Rows, average
from otdist.inference.permutation import TestResult, two_sample_test
from otdist.inference.visible import check_visible
from otdist.moments import kernels

_HALF = 10
"""Fewest rows of a half whose spread is shown."""


class Draw(NamedTuple):
    """Figures of some rows of both samples."""

    rows: Rows
    figures: dict[str, Figure]


class Interval(NamedTuple):
    """Ends and target of an interval, or the reason why there is none."""

    ends: tuple[float, float] | None
    target: str = ""
    reason: str = ""


def call_of(real: np.ndarray, seed: int | None, n_permutations: int) -> Call:
    """What metrics are given besides the samples; scales come from the real sample alone."""
    both = pair(real, real)
    spread = 2 * float(both.x.points.double().var(0, correction=0).sum()) * both.scale**2
    rows = both.x.points.detach()
    some = rows[:: kernels.median_step(len(rows))]
    apart = len(some) > 1 and bool((some[1:] != some[0]).any())
    bandwidth = kernels.median_distance(both) * both.scale if apart else None
    return Call(seed, n_permutations, 0.01 * spread or None, bandwidth)


@dataclass(frozen=True)
class Job:
    """The samples that every metric is computed for.

    Attributes:
        real: Shape (n, d), in canonical order.
        fakes: Shape (m, d) each, likewise.
        call: What metrics are given besides.
        confidence: Level of intervals; None leaves them out.
        capped: Whether metrics keep their own limits of rows.
        rng: Of draws.
    """

    real: np.ndarray
    fakes: dict[str, np.ndarray]
    call: Call
    confidence: float | None
    capped: bool
    rng: np.random.Generator
    _unseen: dict[tuple[str, int | None], str] = field(default_factory=dict)

    def run(self, metric: Metric) -> dict[str, dict[str, MetricResult]]:
        """Results of one metric for every fake; the floor is computed once."""
        cap = metric.most(self.real.shape[1]) if self.capped else None
        order = self.rng.permutation(len(self.real))
        half = len(self.real) // 2
        size = min([half, cap or half, *map(len, self.fakes.values())])
        untested = self.call._replace(n_permutations=0)
        floor: dict[str, Figure] = {}
        first = self.real[order[:size]]
        if size >= metric.least:
            floor = metric.compute(first, self.real[order[half : half + size]], untested)
        results = {}
        for name, fake in self.fakes.items():
            started = time.perf_counter()
            if min(len(self.real), len(fake)) < metric.least:
                results[name] = _impossible(metric)
                continue
            draws = self._draws(metric, fake, cap)
            at_floor: dict[str, Figure] = {}
            if floor:
                at_floor = metric.compute(first, fake[self._some(fake, size)], untested)
            test = self._test(metric, fake)
            found = {key: self._result(metric, key, name, draws) for key in metric.titles}
            seconds = time.perf_counter() - started
            results[name] = {
                key: result.with_(
                    floor=_finite(floor.get(key)),
                    at_floor=_finite(at_floor.get(key)),
                    floor_size=size if floor else 0,
                    pvalue=draws[0].figures[key].pvalue if test is None else test.pvalue,
                    test=test,
                    size=int(min(cap or math.inf, max(len(self.real), len(fake)))),
                    seconds=seconds,
                )
                for key, result in found.items()
            }
        return results

    def _some(self, rows: np.ndarray, size: int) -> np.ndarray:
        """Indices of at most `size` rows, without replacement."""
        return self.rng.permutation(len(rows))[:size] if len(rows) > size else np.arange(len(rows))

    def _draws(self, metric: Metric, fake: np.ndarray, cap: int | None) -> list[Draw]:
        """The metric on all rows, or on several draws where there are too many."""
        many = cap is not None and max(len(self.real), len(fake)) > cap
        draws = []
        for _ in range(catalogue.REPEATS if many else 1):
            rows = self._some(self.real, cap or len(self.real)), self._some(fake, cap or len(fake))
            figures = metric.compute(self.real[rows[0]], fake[rows[1]], self.call)
            draws.append(Draw(rows, figures))
        return draws

    def _test(self, metric: Metric, fake: np.ndarray) -> TestResult | None:
        if not self.call.n_permutations or metric.test is None:
            return None
        return two_sample_test(
            self.real, fake, metric.test, n_permutations=self.call.n_permutations,
            seed=self.call.seed,
        )  # fmt: skip

    def _result(self, metric: Metric, key: str, name: str, draws: list[Draw]) -> MetricResult:
        """One figure, or the mean of several draws with their spread."""
        figures = [draw.figures[key] for draw in draws]
        values = np.array([figure.value for figure in figures])
        estimate = float(values.mean()) if np.isfinite(values).all() else None
        notes, spread = [], None
        if len(draws) > 1:
            spread = float(values.std(ddof=1)) if estimate is not None else None
            notes.append(f"mean of {len(draws)} draws of {metric.cap} rows")
        elif metric.spread:
            spread = self._spread(metric, name)[key]
        if not all(figure.converged for figure in figures):
            notes.append("not converged")
        if estimate is None:
            notes.append("not finite for these samples")
        interval = self._interval(metric, key, name, draws)
        return MetricResult(
            name=key,
            convention=metric.titles[key],
            estimate=estimate,
            higher_is_better=metric.higher,
            lower=figures[0].lower if len(draws) == 1 else None,
            upper=figures[0].upper if len(draws) == 1 else None,
            spread=spread,
            interval=interval.ends,
            target=interval.target,
            no_interval=interval.reason,
            converged=all(figure.converged for figure in figures),
            note="; ".join(notes),
        )

    def _spread(self, metric: Metric, name: str) -> dict[str, float | None]:
        """Standard deviation over draws of half of the rows, without replacement.

        For a mean of n terms it equals the standard error: half of the rows double the variance,
        and that they are half of a finite sample halves it.
        """
        fake = self.fakes[name]
        sizes = len(self.real) // 2, len(fake) // 2
        if min(sizes) < _HALF:
            return dict.fromkeys(metric.titles)
        rng = np.random.default_rng(self.call.seed)  # the same draws for every output
        found = [
            metric.compute(
                self.real[rng.permutation(len(self.real))[: sizes[0]]],
                fake[rng.permutation(len(fake))[: sizes[1]]],
                self.call,
            )
            for _ in range(catalogue.REPEATS)
        ]
        return {
            key: float(np.std([figures[key].value for figures in found], ddof=1))
            for key in metric.titles
        }

    def _interval(self, metric: Metric, key: str, name: str, draws: list[Draw]) -> Interval:
        if metric.no_interval:
            return Interval(None, reason=metric.no_interval)
        if self.confidence is None:
            return Interval(None, reason="not asked for")
        try:
            check_rows(pair(self.real, self.fakes[name]))
            limits = [limit() for draw in draws if (limit := draw.figures[key].limit)]
            self._check_visible(name, metric.degree)
            sizes = len(self.real), len(self.fakes[name])
            if isinstance(limits[0], LineLimit):
                found = limits[0].interval(self.confidence)
            else:
                parts = [limit for limit in limits if not isinstance(limit, LineLimit)]
                found = average(parts, [draw.rows for draw in draws], sizes)
                found = found.interval(self.confidence)
        except NoIntervalError as reason:
            return Interval(None, reason=str(reason))
        if metric.root and found.p != 1:
            return Interval(found.distance, f"the root of {found.target}")
        return Interval((found.lower, found.upper), found.target)

    def _check_visible(self, name: str, degree: int | None) -> None:
        """As `check_visible`, once for each fake."""
        place = (name, degree)
        if place not in self._unseen:
            self._unseen[place] = ""
            try:
                check_visible(pair(self.real, self.fakes[name]), degree, self.call.seed)
            except NoIntervalError as reason:
                self._unseen[place] = str(reason)
        if self._unseen[place]:
            raise NoIntervalError(self._unseen[place])


def _finite(figure: Figure | None) -> float | None:
    return None if figure is None or not math.isfinite(figure.value) else figure.value


def _impossible(metric: Metric) -> dict[str, MetricResult]:
    note = f"needs at least {metric.least} rows of each sample"
    return {
        key: MetricResult(
            key, words, None, higher_is_better=metric.higher, no_interval=note, note=note
        )
        for key, words in metric.titles.items()
    }
