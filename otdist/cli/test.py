"""`otdist test A B`: a permutation test that two files hold samples of one distribution."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from otdist.cli import _common
from otdist.cli._common import ExitCode, errors_without_traceback, fail, show, usage
from otdist.cli._reports import ReportOptions, leave
from otdist.core.progress import progress
from otdist.io import Samples, align, read_samples

if TYPE_CHECKING:
    from otdist.evaluation.report import MetricResult, Report
    from otdist.inference import TestResult


@dataclass(frozen=True, kw_only=True)
class Test(ReportOptions):
    """Permutation test that two files hold samples from the same distribution.

    Rows must be exchangeable, as independent rows are.

    --fail-above VALUE, or METRIC=VALUE with the name of the statistic, compares the statistic.
    """

    a: Annotated[str, Argument(metavar="A", help="Samples: .npy .npz:key .csv .pt …, or a folder")]
    b: Annotated[str, Argument(metavar="B", help="Samples of the same dimension.")]
    statistic: Annotated[
        str, Option(metavar="NAME", help="sliced, energy, mmd, wasserstein, sinkhorn, …: a metric.")
    ] = "sliced"
    n_permutations: Annotated[int, Option(min=1, help="Random labellings.")] = 999
    n_projections: Annotated[int | None, Option(min=1, help="sliced: directions.")] = None
    p: Annotated[float | None, Option("--p", help="sliced, wasserstein, sinkhorn: exponent.")] = (
        None
    )
    eps: Annotated[float | None, Option(help="sinkhorn: strength, in cost units.")] = None
    bandwidth: Annotated[float | None, Option(help="mmd: width of the kernel.")] = None
    seed: Annotated[int, Option(min=0, help="Of labellings and directions.")] = 0
    alpha: Annotated[
        float | None, Option(min=0, max=1, help="Exit with 1 when the p-value is at most this.")
    ] = None

    def run(self) -> None:
        """Test the samples, print the p-value, exit with the code of the gates."""
        self.check_targets()
        with errors_without_traceback():
            options = self._options()
            gates = self.gates([self.statistic], alone=True)
            x, y = align(*self.read(read_samples, (self.a, self.b)))
            _common.say_notes([*x.notes, *y.notes], self.quiet)
            result = self._test(x, y, options)
            if self.html is not None or self.plot is not None:
                self.draw(self._report(x, y, result), kind="null", shape=x.shape)
        content = _common.record(
            "test",
            (x, y),
            quantity=result.name,
            statistic=result.statistic,
            pvalue=result.pvalue,
            n_permutations=self.n_permutations,
            seed=self.seed,
            seconds=result.seconds,
            **options,
        )
        title = f"{Path(self.a).name} against {Path(self.b).name}"
        self.publish(content, lambda: show(title, _rows(content)))
        leave([(Path(self.b).name, self._result(result))], gates, lambda found: found.estimate)
        if self.alpha is not None and result.pvalue <= self.alpha:
            what = f"the samples differ: p = {result.pvalue:.4g} is at most {self.alpha:g}"
            raise fail(what, ExitCode.GATE_FAILED)

    def _test(self, x: Samples, y: Samples, options: dict[str, Any]) -> TestResult:
        import otdist

        with progress(f"{self.n_permutations} permutations", quiet=self.quiet):
            return otdist.two_sample_test(
                x.points,
                y.points,
                self.statistic,
                n_permutations=self.n_permutations,
                seed=self.seed,
                **options,
            )

    def _result(self, result: TestResult) -> MetricResult:
        """The test as the one metric of a report."""
        from otdist.evaluation.report import MetricResult

        return MetricResult(
            self.statistic, f"{result.name}, permutation test", result.statistic,
            pvalue=result.pvalue, no_interval="not computed", size=max(result.n, result.m),
            seconds=result.seconds, test=result,
        )  # fmt: skip

    def _report(self, x: Samples, y: Samples, result: TestResult) -> Report:
        """The report of the test, for its page and its picture."""
        from otdist.evaluation.report import Report
        from otdist.evaluation.report.evidence import keep

        names = [Path(self.a).stem, Path(self.b).stem]
        if names[0] == names[1]:
            names = ["A", "B"]
        rows = dict(zip(names, (x.points, y.points), strict=True))
        return Report(
            {names[1]: {self.statistic: self._result(result)}},
            {name: len(points) for name, points in rows.items()},
            x.d,
            "raw",
            self.seed,
            result.seconds,
            reference=names[0],
            evidence=keep(rows, {}, names[0], self.seed),
        )

    def _options(self) -> dict[str, Any]:
        """The options of the statistic that were given; a wrong one is a usage error."""
        from otdist.discrepancy import named

        names = ("n_projections", "p", "eps", "bandwidth")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        try:
            named(self.statistic, given, "test")
        except ValueError as error:
            raise usage("--statistic", str(error)) from None
        return given


def _rows(content: dict[str, Any]) -> list[tuple[str, str]]:
    """The table: the statistic and its p-value, then how they were found."""
    rows = [
        (content["quantity"], f"{content['statistic']:.10g}"),
        ("p-value", f"{content['pvalue']:.4g}"),
        ("permutations", f"{content['n_permutations']}, {content['seconds']:.2f} s"),
    ]
    for name, side in zip("AB", content["inputs"], strict=True):
        rows.append((name, f"{side['n']} × {side['d']} {side['dtype']}, {side['path']}"))
    return rows
