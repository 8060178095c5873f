"""`otdist evaluate REAL FAKE…`: a report on samples in files, with gates for pipelines."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from otdist.cli import _common
from otdist.cli._common import ExitCode, errors_without_traceback, fail, listed, usage
from otdist.cli._reports import ReportOptions, leave, limits, show_report
from otdist.io import Samples, align, read_samples

if TYPE_CHECKING:
    from otdist.evaluation.report import MetricResult, Report


@dataclass(frozen=True, kw_only=True)
class Evaluate(ReportOptions):
    """How far fake samples are from real ones, by many metrics, each with its noise floor."""

    real: Annotated[
        str, Argument(metavar="REAL", help="Real samples: .npy .csv … or a folder of images.")
    ]
    fakes: Annotated[list[str], Argument(metavar="FAKE...", help="Samples to compare and rank.")]
    train: Annotated[
        str | None, Option(help="Rows that the generators were trained on, to flag copies of them.")
    ] = None
    metrics: Annotated[str | None, Option(help="Names with commas between; all by default.")] = None
    features: Annotated[
        str, Option(help="raw, pca-K, module:function, or torchvision:MODEL ….")
    ] = "raw"
    n_permutations: Annotated[int, Option(min=0, help="For p-values; 0 leaves them out.")] = 0
    max_samples: Annotated[int | None, Option(min=1, help="Most rows of each sample.")] = None
    fail_below: Annotated[
        list[str] | None, Option(metavar="METRIC=VALUE", help="Exit with 1 below this figure.")
    ] = None
    fail_worse: Annotated[
        list[str] | None,
        Option(metavar="METRIC=VALUE", help="Exit with 1 where it is worse: above, or below."),
    ] = None
    fail_above_floor: Annotated[
        float | None,
        Option(min=1, help="Exit with 1 where a metric is so many times as bad as its floor."),
    ] = None
    alpha: Annotated[
        float | None,
        Option(help="Exit with 1 where a test has p up to this, corrected for their number."),
    ] = None
    seed: Annotated[int, Option(min=0, help="Of draws, directions and permutations.")] = 0
    shape: Annotated[str | None, Option(help="Of an image, such as 8,8: shows them.")] = None

    def run(self) -> None:
        """Evaluate the samples, print the report, exit with the code of the gates."""
        self.check_targets()
        with errors_without_traceback():
            wanted = self._wanted()
            known = wanted or _names()
            gates = self.gates(known, alone=False)
            below = limits("--fail-below", self.fail_below, known)
            worse = limits("--fail-worse", self.fail_worse, known)
            self._check_alpha()
            real, fakes, train = self._read()
            shape = self._shape(real)
            report = self._evaluate(real, fakes, wanted, train)
            self.draw(report, shape=shape)
        inputs = (real, *fakes.values(), *([train] if train else []))
        content = _common.record("evaluate", inputs, **report.to_dict())
        self.publish(content, lambda: show_report(report))
        results = [(name, r) for name, found in report.samples.items() for r in found.values()]
        leave(results, gates, _estimate)
        leave(results, below, _estimate, lambda result: False)
        leave(results, worse, _estimate, lambda result: not result.higher_is_better)
        if self.fail_above_floor is not None:
            self._leave_above_floor(results, self.fail_above_floor)
        if self.alpha is not None:
            self._leave_significant(report, self.alpha)

    def _check_alpha(self) -> None:
        if self.alpha is None:
            return
        if not 0 < self.alpha < 1:
            raise usage("--alpha", f"must be above 0 and below 1: got {self.alpha:g}")
        if not self.n_permutations:
            raise usage("--alpha", "needs p-values: pass --n-permutations as well")

    def _leave_above_floor(self, results: Sequence[tuple[str, MetricResult]], times: float) -> None:
        """Exit where the figure at half size is `times` the floor, or a share of 1/`times` of it.

        Raises:
            Exit: there is such a metric, or none has a floor.
        """
        compared = 0
        for name, result in results:
            if result.floor is None or result.at_floor is None:
                continue
            compared += 1
            limit = result.floor / times if result.higher_is_better else result.floor * times
            if result.at_floor < limit if result.higher_is_better else result.at_floor > limit:
                side, sign = ("below", "/") if result.higher_is_better else ("above", "×")
                what = (
                    f"{result.name} of {name} at half size = {result.at_floor:.6g} is {side} "
                    f"its floor {result.floor:.6g} {sign} {times:g}"
                )
                raise fail(what, ExitCode.GATE_FAILED)
        if not compared:
            raise fail("no metric has a floor: too few rows", ExitCode.BAD_DATA)

    def _leave_significant(self, report: Report, alpha: float) -> None:
        """Exit where a metric of a sample is significant after Holm's correction."""
        from otdist.evaluation.report.verdict import after_correction

        least = 0.0  # p-value that any metric can reach
        for name, results in report.samples.items():
            found = after_correction(results)
            if not found:
                raise fail("no metric here has a permutation test", ExitCode.BAD_DATA)
            for key, p in found.items():
                if p <= alpha:
                    what = f"{key} of {name} has p = {p:.3g} after correction, at most {alpha:g}"
                    raise fail(what, ExitCode.GATE_FAILED)
            least = max(least, len(found) / (self.n_permutations + 1))
        if least > alpha:
            note = f"no p-value can be below {least:.3g} here: raise --n-permutations"
            _common.say_notes([note], self.quiet)

    def _wanted(self) -> list[str] | None:
        from otdist.evaluation import metrics

        names = listed(self.metrics)
        try:
            metrics.chosen(names, self.train is not None)
        except ValueError as error:
            raise usage("--metrics", str(error)) from None
        return names

    def _shape(self, real: Samples) -> tuple[int, ...] | None:
        """As given, or as the files hold arrays of rank 3 or more."""
        if self.shape is None:
            return real.shape
        shape = _common.sizes("--shape", self.shape)
        if math.prod(shape) != real.d:
            raise usage("--shape", f"{self.shape} does not fit rows of {real.d} numbers")
        return shape

    def _read(self) -> tuple[Samples, dict[str, Samples], Samples | None]:
        """The real sample, the fakes by the shortest names that differ, and the training rows."""
        paths = [self.real, *self.fakes, *([] if self.train is None else [self.train])]
        real, *others = self.read(read_samples, paths)
        train = None if self.train is None else align(real, others.pop())[1]
        short = [Path(path).stem for path in self.fakes]
        unique = len(set(short)) == len(short) and not {"real", "train"} & set(short)
        names = short if unique else self.fakes
        if len(set(names)) < len(names):
            raise usage("FAKE", "a file is given twice")
        fakes = {name: align(real, x)[1] for name, x in zip(names, others, strict=True)}
        _common.say_notes([note for s in (real, *fakes.values()) for note in s.notes], self.quiet)
        return real, fakes, train

    def _evaluate(
        self,
        real: Samples,
        fakes: dict[str, Samples],
        wanted: list[str] | None,
        train: Samples | None,
    ) -> Any:
        import otdist
        from otdist.evaluation.feature_functions import UnknownFeaturesError

        try:
            with _here_importable():
                return otdist.evaluate(
                    self._rows(real),
                    {name: self._rows(sample) for name, sample in fakes.items()},
                    train=None if train is None else self._rows(train),
                    metrics=wanted,
                    features=self.features,
                    n_permutations=self.n_permutations,
                    max_samples=self.max_samples,
                    seed=self.seed,
                    progress=not self.quiet,
                )
        except UnknownFeaturesError as error:
            raise usage("--features", str(error)) from None

    def _rows(self, sample: Samples) -> Any:
        """The points, or the images that they were where an encoder takes those."""
        from otdist.evaluation.encoders import PACKAGES

        encodes = self.features.partition(":")[0] in PACKAGES
        if sample.shape is None or not encodes:
            return sample.points
        return sample.points.reshape(-1, *sample.shape).astype(sample.dtype)


@contextmanager
def _here_importable() -> Iterator[None]:
    """`module:function` finds modules of the current directory, as `python -m` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _estimate(result: MetricResult) -> float | None:
    return result.estimate


def _names() -> list[str]:
    from otdist.discrepancy import DISCREPANCIES

    return list(DISCREPANCIES)
