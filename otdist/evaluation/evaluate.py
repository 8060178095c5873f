"""evaluate(): many metrics of fake samples against a real one, each beside its noise floor.

Even two samples of one law are apart, the more so the fewer the rows and the higher the dimension.
So each metric is also computed between two disjoint halves of the real sample, the *floor*, and
between one of these halves and as many fake rows: these two figures compare like with like.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from otdist._progress import progress as shown
from otdist.evaluation import metrics as catalogue
from otdist.evaluation.features import extract
from otdist.evaluation.metrics import Call, Figure, Metric
from otdist.inference.permutation import TestResult, two_sample_test
from otdist.measure import pair
from otdist.report import MetricResult, Report
from otdist.report.evidence import keep
from otdist.solvers.sliced import check_count


def evaluate(
    real: Any,
    fake: Any,
    *,
    metrics: Sequence[str] | str | None = None,
    features: Any = None,
    n_permutations: int = 0,
    max_samples: int | None = None,
    seed: int | None = 0,
    progress: bool = True,
) -> Report:
    r"""How far fake samples are from real ones, by many metrics, each with its noise floor.

    Args:
        real: Rows of the real sample, shape (n, ...); rows of higher rank are flattened.
        fake: Rows of the fake sample, or several by name, which are then ranked.
        metrics: Names among w1, w2, sliced_w2, max_sliced_w2, sinkhorn, energy, mmd, frechet,
            frechet_infinity, kid, precision, recall, density, coverage, classifier; None for all.
        features: What is compared: None or "raw", "pca-K" (of the pooled samples), a callable from
            rows to features, an nn.Module (in batches, in eval mode), or "module:function".
        n_permutations: Permutations of a two-sample test for sliced_w2 (its statistic is SW_1),
            energy, mmd and classifier; 0 leaves p-values out.
        max_samples: Most rows of each sample, drawn at random. None takes all, except for w1, w2,
            max_sliced_w2 and sinkhorn: 5 draws of 2,000 rows where there are more, averaged.
        seed: Of draws, directions and permutations; None draws fresh ones.
        progress: Show what is being computed on stderr, when that is a terminal.

    Returns:
        A report; ``report.metrics[name]`` has estimate, floor, at_floor, interval, pvalue and note.

    Raises:
        TypeError, ValueError: bad samples, metrics or features.

    Cost: O(n m) pairs for energy, mmd, kid and the neighbour metrics; memory O(n + m).

    >>> import numpy as np, otdist
    >>> rng = np.random.default_rng(0)
    >>> real, fake = rng.normal(size=(80, 2)), rng.normal(size=(60, 2)) + 1
    >>> report = otdist.evaluate(real, fake, metrics=["w1"])
    >>> w1 = report.metrics["w1"]
    >>> w1.lower <= w1.estimate <= w1.upper * (1 + 1e-9), w1.floor < w1.at_floor
    (True, True)
    """
    started = time.perf_counter()
    wanted = catalogue.chosen(metrics)
    if n_permutations:
        check_count(n_permutations, "n_permutations")
    if max_samples is not None:
        check_count(max_samples, "max_samples")
    fakes = dict(fake) if isinstance(fake, Mapping) else {"fake": fake}
    if not fakes or "real" in fakes:
        raise ValueError('fake must hold at least one sample, none of them named "real"')
    rows, words = extract({"real": real, **fakes}, features)
    rng = np.random.default_rng(seed)
    evidence = keep(rows, {"real": real, **fakes}, "real", seed)
    for name in fakes:
        pair(rows["real"], rows[name])  # raises with a place before any work is done
    if max_samples is not None:
        rows = {name: _draw(value, max_samples, rng) for name, value in rows.items()}
    reference = rows.pop("real")
    job = _Job(reference, rows, Call(seed, n_permutations), max_samples, rng)
    names = {metrics} if isinstance(metrics, str) else set(metrics or catalogue.NAMES)
    results: dict[str, dict[str, MetricResult]] = {name: {} for name in fakes}
    with shown("evaluating", quiet=not progress) as say:
        for metric in wanted:
            say(", ".join(metric.titles))
            for name, found in job.run(metric).items():
                results[name] |= {key: value for key, value in found.items() if key in names}
    sizes = {name: len(value) for name, value in {"real": reference, **rows}.items()}
    return Report(
        results, sizes, reference.shape[1], words, seed, time.perf_counter() - started,
        evidence=evidence,
    )  # fmt: skip


def _draw(rows: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """At most `size` rows without replacement."""
    return rows if len(rows) <= size else rows[rng.permutation(len(rows))[:size]]


@dataclass(frozen=True)
class _Job:
    """The samples that every metric is computed for."""

    real: np.ndarray
    fakes: dict[str, np.ndarray]
    call: Call
    max_samples: int | None
    rng: np.random.Generator

    def run(self, metric: Metric) -> dict[str, dict[str, MetricResult]]:
        """Results of one metric for every fake; the floor is computed once."""
        cap = metric.cap if self.max_samples is None else None
        order = self.rng.permutation(len(self.real))
        half = len(self.real) // 2
        size = min([half, cap or half, *map(len, self.fakes.values())])
        floor: dict[str, Figure] | None = None
        first = self.real[order[:size]]
        if size >= metric.least:
            other = self.real[order[half : half + size]]
            floor = metric.compute(first, other, self.call._replace(n_permutations=0))
        results = {}
        for name, fake in self.fakes.items():
            started = time.perf_counter()
            if min(len(self.real), len(fake)) < metric.least:
                results[name] = _impossible(metric)
                continue
            draws = self._draws(metric, fake, cap)
            at_floor = None
            if floor is not None:
                rows = _draw(fake, size, self.rng)
                at_floor = metric.compute(first, rows, self.call._replace(n_permutations=0))
            test = self._test(metric, fake)
            seconds = time.perf_counter() - started
            results[name] = {
                key: _result(metric, key, [d[key] for d in draws], seconds).with_(
                    floor=None if floor is None else floor[key].value,
                    at_floor=None if at_floor is None else at_floor[key].value,
                    floor_size=size if floor is not None else 0,
                    pvalue=draws[0][key].pvalue if test is None else test.pvalue,
                    test=test,
                    size=int(min(cap or math.inf, max(len(self.real), len(fake)))),
                )
                for key in metric.titles
            }
        return results

    def _draws(self, metric: Metric, fake: np.ndarray, cap: int | None) -> list[dict[str, Figure]]:
        """The metric on all rows, or on several draws where there are too many."""
        if cap is None or max(len(self.real), len(fake)) <= cap:
            return [metric.compute(self.real, fake, self.call)]
        return [
            metric.compute(_draw(self.real, cap, self.rng), _draw(fake, cap, self.rng), self.call)
            for _ in range(catalogue.REPEATS)
        ]

    def _test(self, metric: Metric, fake: np.ndarray) -> TestResult | None:
        if not self.call.n_permutations or metric.test is None:
            return None
        return two_sample_test(
            self.real, fake, metric.test, n_permutations=self.call.n_permutations,
            seed=self.call.seed,
        )  # fmt: skip


def _result(metric: Metric, key: str, draws: list[Figure], seconds: float) -> MetricResult:
    """One figure, or the mean of several draws with their spread."""
    values = np.array([figure.value for figure in draws])
    notes = []
    if len(draws) > 1:
        notes.append(f"mean of {len(draws)} draws of {metric.cap} rows")
    if not all(figure.converged for figure in draws):
        notes.append("not converged")
    estimate = float(values.mean()) if np.isfinite(values).all() else None
    if estimate is None:
        notes.append("not finite for these samples")
    return MetricResult(
        name=key,
        convention=metric.titles[key],
        estimate=estimate,
        higher_is_better=metric.higher,
        lower=draws[0].lower if len(draws) == 1 else None,
        upper=draws[0].upper if len(draws) == 1 else None,
        spread=float(values.std(ddof=1)) if len(draws) > 1 and estimate is not None else None,
        converged=all(figure.converged for figure in draws),
        no_interval=metric.no_interval,
        note="; ".join(notes),
        seconds=seconds,
    )


def _impossible(metric: Metric) -> dict[str, MetricResult]:
    note = f"needs at least {metric.least} rows of each sample"
    return {
        key: MetricResult(
            key, words, None, higher_is_better=metric.higher, no_interval=note, note=note
        )
        for key, words in metric.titles.items()
    }
