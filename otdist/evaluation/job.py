"""One row of a report for every fake: figure, floor, interval and p-value of one discrepancy.

Rows of samples come in canonical order, so that no draw depends on how they were sorted; and each
draw has a stream of its own, so that none depends on which other metrics are named.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch

from otdist.core.measure import SamplePair
from otdist.core.threads import threads_for
from otdist.discrepancy.base import Discrepancy, Figure, Limit
from otdist.discrepancy.limit import ConfidenceInterval, NoIntervalError, Rows, average
from otdist.discrepancy.line_limit import LineLimit
from otdist.evaluation.report import MetricResult
from otdist.inference.intervals import check_rows
from otdist.inference.permutation import TestResult, permutation_test
from otdist.inference.visible import check_visible

REPEATS = 5
"""Draws of rows where there are too many."""
SPLITS = 20
"""Random halves of the reals that a floor is the mean of."""
FLOOR_ROWS = 1000
"""Most rows of a side at the floor: what is computed `SPLITS` times must be small."""
_HALF = 10
"""Fewest rows of a half whose spread is shown."""
_DRAWS, _FLOOR, _BESIDE, _SPREAD = 2, 3, 4, 5  # streams; 1 is that of labellings


class Draw(NamedTuple):
    """Figures of some rows of both samples."""

    rows: Rows
    pair: SamplePair
    figures: dict[str, Figure]


class Interval(NamedTuple):
    """An interval with its target and note, its centre where not the estimate; or the reason."""

    ends: tuple[float, float] | None
    centre: float | None = None
    target: str = ""
    reason: str = ""
    note: str = ""


class Floor(NamedTuple):
    """Mean and standard deviation over splits of the reals."""

    mean: float | None = None
    spread: float | None = None


@dataclass(frozen=True)
class Job:
    """The samples that every discrepancy is computed for.

    Attributes:
        real: Shape (n, d), in canonical order.
        fakes: Shape (m, d) each, likewise.
        seed: Of draws, directions and labellings; an integer.
        n_permutations: Labellings of a test; 0 for none.
        confidence: Level of intervals; None leaves them out.
        capped: Whether discrepancies keep their own limits of rows.
    """

    real: np.ndarray
    fakes: dict[str, np.ndarray]
    seed: int
    n_permutations: int
    confidence: float | None
    capped: bool
    _unseen: dict[tuple[str, str], str] = field(default_factory=dict)

    def run(self, chosen: Discrepancy, names: list[str]) -> dict[str, dict[str, MetricResult]]:
        """Results under these names for every fake.

        Options that depend on the data come from all samples together: one distance ranks all
        fakes, and permuting the rows of two of the samples does not change it.
        """
        chosen = chosen.fitted(chosen.frame(self.real, np.concatenate([*self.fakes.values()])))
        cap = chosen.rows(self.real.shape[1]) if self.capped else None
        size = min(
            [len(self.real) // 2, cap or FLOOR_ROWS, FLOOR_ROWS, *map(len, self.fakes.values())]
        )
        figure, (real, *others) = chosen.prepared([self.real, *self.fakes.values()], self.seed)
        light = replace(self, real=real, fakes=dict(zip(self.fakes, others, strict=True)))
        halves = list(light._halves(size)) if size >= chosen.least_rows else []
        floor = light._mean(figure, names, [(first, second) for first, second in halves])
        results = {}
        for name, fake in light.fakes.items():
            started = time.perf_counter()
            if min(len(self.real), len(fake)) < chosen.least_rows:
                results[name] = _impossible(chosen, names)
                continue
            draws = light._draws(figure, names, fake, cap)
            some = self._stream(_BESIDE)
            beside = [(x, fake[some.permutation(len(fake))[:size]]) for x, _ in halves]
            at_floor = light._mean(figure, names, beside)
            test = self._test(chosen, self.fakes[name])
            found = {key: self._result(chosen, figure, key, name, draws) for key in names}
            seconds = time.perf_counter() - started
            results[name] = {
                key: result.with_(
                    floor=floor[key].mean,
                    floor_spread=floor[key].spread,
                    at_floor=at_floor[key].mean,
                    floor_size=size if halves else 0,
                    pvalue=None if test is None else test.pvalue,
                    labellings=0 if test is None else len(test.null),
                    test=test,
                    size=int(min(cap or math.inf, max(len(self.real), len(fake)))),
                    seconds=seconds,
                )
                for key, result in found.items()
            }
        return results

    def _stream(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose])

    def _figures(
        self, chosen: Discrepancy, names: list[str], pair: SamplePair
    ) -> dict[str, Figure]:
        with threads_for(chosen.numbers(pair)):
            return chosen.figures(names, pair, self.seed)

    def _halves(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Disjoint rows of the reals, `size` of each; the same splits for every discrepancy."""
        rng, half = self._stream(_FLOOR), len(self.real) // 2
        for _ in range(SPLITS):
            order = rng.permutation(len(self.real))
            yield self.real[order[:size]], self.real[order[half : half + size]]

    def _mean(
        self, chosen: Discrepancy, names: list[str], pairs: list[tuple[np.ndarray, np.ndarray]]
    ) -> dict[str, Floor]:
        found = [self._figures(chosen, names, chosen.frame(x, y)) for x, y in pairs]
        values = {key: np.array([figures[key].value for figures in found]) for key in names}
        return {
            key: Floor(float(v.mean()), float(v.std(ddof=1)))
            if len(v) and np.isfinite(v).all()
            else Floor()
            for key, v in values.items()
        }

    def _draws(
        self, chosen: Discrepancy, names: list[str], fake: np.ndarray, cap: int | None
    ) -> list[Draw]:
        """The figures of all rows, or of several draws where there are too many."""
        many = cap is not None and max(len(self.real), len(fake)) > cap
        rng, draws = self._stream(_DRAWS), []
        for _ in range(REPEATS if many else 1):
            rows = _some(rng, self.real, cap), _some(rng, fake, cap)
            pair = chosen.frame(self.real[rows[0]], fake[rows[1]])
            draws.append(Draw(rows, pair, self._figures(chosen, names, pair)))
        return draws

    def _test(self, chosen: Discrepancy, fake: np.ndarray) -> TestResult | None:
        if not (self.n_permutations and chosen.quick):
            return None
        return permutation_test(
            chosen, chosen.frame(self.real, fake), self.n_permutations, self.seed
        )

    def _result(
        self, chosen: Discrepancy, figure: Discrepancy, key: str, name: str, draws: list[Draw]
    ) -> MetricResult:
        """One figure, or the mean of several draws with their spread.

        The draws are of `figure`, which `chosen` prepared.
        """
        figures = [draw.figures[key] for draw in draws]
        values = np.array([figure.value for figure in figures])
        estimate = float(values.mean()) if np.isfinite(values).all() else None
        notes, spread = [], None
        if len(draws) > 1:
            spread = float(values.std(ddof=1)) if estimate is not None else None
            notes.append(f"mean of {len(draws)} draws of {len(draws[0].rows[0])} rows")
        elif chosen.spread:
            spread = self._spread(chosen, key, name)
        notes += [note for figure in figures[:1] if (note := figure.note)]
        if not all(figure.converged for figure in figures):
            notes.append("not converged")
        if estimate is None:
            notes.append("not finite for these samples")
        interval = self._interval(chosen, figure, key, name, draws, estimate)
        notes += [interval.note] if interval.note else []
        return MetricResult(
            name=key,
            convention=chosen.words(key),
            estimate=estimate,
            higher_is_better=chosen.higher_is_better,
            lower=figures[0].lower if len(draws) == 1 else None,
            upper=figures[0].upper if len(draws) == 1 else None,
            spread=spread,
            interval=interval.ends,
            centre=interval.centre,
            target=interval.target,
            no_interval=interval.reason,
            converged=all(figure.converged for figure in figures),
            note="; ".join(notes),
        )

    def _spread(self, chosen: Discrepancy, key: str, name: str) -> float | None:
        """Standard deviation over draws of half of the rows, without replacement.

        For a mean of n terms it equals the standard error: half of the rows double the variance,
        and that they are half of a finite sample halves it.
        """
        fake = self.fakes[name]
        sizes = len(self.real) // 2, len(fake) // 2
        if min(sizes) < _HALF:
            return None
        rng = self._stream(_SPREAD)  # the same draws for every output
        pairs = [
            (self.real[_some(rng, self.real, sizes[0])], fake[_some(rng, fake, sizes[1])])
            for _ in range(REPEATS)
        ]
        return self._mean(chosen, [key], pairs)[key].spread

    def _interval(
        self,
        chosen: Discrepancy,
        figure: Discrepancy,
        key: str,
        name: str,
        draws: list[Draw],
        estimate: float | None,
    ) -> Interval:
        if self.confidence is None and not chosen.no_limit:
            return Interval(None, reason="not asked for")
        try:
            if chosen.no_limit:
                raise NoIntervalError(chosen.no_limit)
            whole = chosen.frame(self.real, self.fakes[name])
            check_rows(whole)
            with torch.no_grad():
                limits = [figure.limit(d.pair, self.seed, d.figures[key]) for d in draws]
                self._check_visible(whole, chosen, name)
            sizes = len(self.real), len(self.fakes[name])
            limit = limits[0]
            if not isinstance(limit, LineLimit):
                limit = average(limits, [draw.rows for draw in draws], sizes)
            found = limit.interval(self.confidence or 0.95)
        except NoIntervalError as reason:
            return Interval(None, reason=str(reason))
        note = f"interval {found.note}" if found.note else ""
        return _on_the_scale_of(estimate, found, limit, chosen)._replace(note=note)

    def _check_visible(self, pair: SamplePair, chosen: Discrepancy, name: str) -> None:
        """As `check_visible`, once for each fake."""
        place = name, (chosen.seen_by() or (None, ""))[1]
        if place not in self._unseen:
            self._unseen[place] = ""
            try:
                check_visible(pair, chosen, self.seed)
            except NoIntervalError as reason:
                self._unseen[place] = str(reason)
        if self._unseen[place]:
            raise NoIntervalError(self._unseen[place])


def _some(rng: np.random.Generator, rows: np.ndarray, most: int | None) -> np.ndarray:
    """Indices of at most `most` rows, without replacement."""
    many = most is not None and len(rows) > most
    return rng.permutation(len(rows))[:most] if many else np.arange(len(rows))


def _on_the_scale_of(
    estimate: float | None, found: ConfidenceInterval, limit: Limit, chosen: Discrepancy
) -> Interval:
    """The interval in the units of the row, and what it is around if that is not the estimate."""
    centre = found.estimate if found.centre is None else found.centre
    ends, target = (found.lower, found.upper), found.target
    if chosen.squared and found.p != 1:
        ends, target = found.distance, f"the root of {target}"
        centre = max(centre, 0.0) ** (1 / found.p)
    if estimate is None or math.isclose(centre, estimate, rel_tol=1e-6, abs_tol=1e-12):
        return Interval(ends, None, target)
    words = "the estimate without its bias"
    if not (isinstance(limit, LineLimit) or limit.unbiased):
        words = "the root of the mean power of the draws"
    return Interval(ends, centre, f"{target}, around {words}")


def _impossible(chosen: Discrepancy, names: list[str]) -> dict[str, MetricResult]:
    note = f"needs at least {chosen.least_rows} rows of each sample"
    better = chosen.higher_is_better
    return {
        key: MetricResult(
            key, chosen.words(key), None, higher_is_better=better, no_interval=note, note=note
        )
        for key in names
    }
