"""`otdist test A B`: a permutation test that two files hold samples of one distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from typer import Argument, Option

from otdist.cli import _common
from otdist.cli._common import ExitCode, errors_without_traceback, fail, show, usage
from otdist.cli._reports import ReportOptions, leave
from otdist.io import DataError, Samples, align, read_columns, read_samples
from otdist.io.errors import UnknownColumnsError

if TYPE_CHECKING:
    from otdist.evaluation.report import MetricResult, Report
    from otdist.inference import TestResult


@dataclass(frozen=True, kw_only=True)
class Test(ReportOptions):
    """Permutation test that two files hold samples from the same distribution.

    Rows must be exchangeable, as independent rows are; where they are not, --groups or --paired
    says what is.

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
    groups: Annotated[
        str | None,
        Option(metavar="COLUMN", help="Whose rows belong together, as a donor's: exchange those."),
    ] = None
    paired: Annotated[
        bool, Option("--paired", help="Row i of A and row i of B change places: before, after.")
    ] = False
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
            x, y, groups = self._inputs()
            _common.say_notes([*x.notes, *y.notes], self.quiet)
            result = self._test(x, y, {**options, **groups})
            _common.say_notes([result.note] if result.note else [], self.quiet)
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
            exchanged=result.exchanged or "rows",
            seconds=result.seconds,
            notes=[result.note] if result.note else [],
            **options,
        )
        title = f"{Path(self.a).name} against {Path(self.b).name}"
        self.publish(content, lambda: show(title, _rows(content)))
        leave([(Path(self.b).name, self._result(result))], gates, lambda found: found.estimate)
        if self.alpha is not None and result.pvalue <= self.alpha:
            what = f"the samples differ: p = {result.pvalue:.4g} is at most {self.alpha:g}"
            raise fail(what, ExitCode.GATE_FAILED)

    def _inputs(self) -> tuple[Samples, Samples, dict[str, Any]]:
        """Both samples, and what is exchanged instead of their rows."""
        told: dict[str, Any] = {"paired": self.paired}
        if self.groups is None:
            return *align(*self.read(read_samples, (self.a, self.b))), told
        reader = partial(_with_groups, column=self.groups)
        (x, of_x), (y, of_y) = self.read(reader, (self.a, self.b))
        if not self.paired:
            return *align(x, y), {"groups_x": of_x, "groups_y": of_y}
        if len(of_x) == len(of_y) and (of_x != of_y).any():
            row = int((of_x != of_y).argmax())
            raise DataError(
                f"{self.a} and {self.b}: with --paired, rows of a pair are in one group: column "
                f"'{self.groups}' has '{of_x[row]}' and '{of_y[row]}' in row {row}"
            )
        return *align(x, y), {**told, "groups_x": of_x}

    def _test(self, x: Samples, y: Samples, options: dict[str, Any]) -> TestResult:
        import otdist

        try:
            return otdist.two_sample_test(
                x.points,
                y.points,
                self.statistic,
                n_permutations=self.n_permutations,
                seed=self.seed,
                progress=not self.quiet,
                **options,
            )
        except ValueError as error:
            groups = "" if self.groups is None else f"; --groups {self.groups}"
            raise ValueError(f"{error} (x: {self.a}, y: {self.b}{groups})") from None

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
            about = str(error).split()[0]
            option = about.replace("_", "-") if about in given else "statistic"
            raise usage(f"--{option}", str(error)) from None
        return given


def _with_groups(
    path: str, *, column: str, exclude: Sequence[str] = (), **stated: Any
) -> tuple[Samples, np.ndarray]:
    """The other columns of a file, and the group of each row, (n,), as text.

    Raises:
        BadParameter: there is no such column.
        DataError: a row without a group.
    """
    try:
        samples = read_samples(path, exclude=[*exclude, column], **stated)
    except UnknownColumnsError as error:
        if column in error.names:
            raise usage("--groups", str(error)) from None
        raise
    alone = {**stated, "columns": [column], "categories": [column]}
    names = read_columns(path, **alone).columns[column]
    if (names == "").any():
        row = int((names == "").argmax())
        raise DataError(f"{path}: column '{column}' names no group in row {row}")
    return samples, names


def _rows(content: dict[str, Any]) -> list[tuple[str, str]]:
    """The table: the statistic and its p-value, then how they were found."""
    of = "" if content["exchanged"] == "rows" else f" of {content['exchanged']}"
    rows = [
        (content["quantity"], f"{content['statistic']:.10g}"),
        ("p-value", f"{content['pvalue']:.4g}"),
        ("permutations", f"{content['n_permutations']}{of}, {content['seconds']:.2f} s"),
    ]
    for name, side in zip("AB", content["inputs"], strict=True):
        rows.append((name, f"{side['n']} × {side['d']} {side['dtype']}, {side['path']}"))
    return rows
