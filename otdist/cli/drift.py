"""`otdist drift REF CUR`: which columns of a table have moved, with a gate for pipelines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from otdist.cli import _common
from otdist.cli._common import ExitCode, errors_without_traceback, fail, listed, usage
from otdist.cli._reports import ReportOptions, leave, show_report
from otdist.io import Table, read_columns

if TYPE_CHECKING:
    from otdist.evaluation.report import MetricResult, Report


@dataclass(frozen=True, kw_only=True)
class Drift(ReportOptions):
    """Which columns of a table have moved, by how much, and whether by more than chance.

    Numbers are measurements, text is categories, dates are times; identifiers are left out.
    --fail-above COLUMN=VALUE, or VALUE for any column, compares effect sizes.
    """

    reference: Annotated[str, Argument(metavar="REF", help="A table: .csv .parquet .npy …")]
    current: Annotated[str, Argument(metavar="CUR", help="A table with the same columns.")]
    missing: Annotated[
        str | None,
        Option(help="Words for a missing cell, with commas; else NA, null and the like."),
    ] = None
    categories: Annotated[
        str | None, Option(help="Columns of numbers that are categories all the same.")
    ] = None
    correction: Annotated[
        str, Option(help="Of p-values for their number: holm, bonferroni, benjamini-hochberg, …")
    ] = "holm"
    n_permutations: Annotated[
        int | None,
        Option(min=0, help="Random labellings; 0 leaves p-values out. Default: as many as needed."),
    ] = None
    block: Annotated[
        int, Option(min=1, help="Rows permuted together, where neighbours depend on each other.")
    ] = 1
    window: Annotated[
        int | None, Option(min=1, help="Compare REF with windows of so many rows of CUR.")
    ] = None
    step: Annotated[int | None, Option(min=1, help="Rows from one window to the next.")] = None
    seed: Annotated[int, Option(min=0, help="Of the labellings.")] = 0
    alpha: Annotated[
        float | None, Option(min=0, max=1, help="Exit with 1 when a p-value is at most this.")
    ] = None

    def run(self) -> None:
        """Compare the tables, print the report, exit with the code of the gates."""
        self.check_targets()
        self._check_options()
        with errors_without_traceback():
            old, new = self.read(
                read_columns,
                (self.reference, self.current),
                missing=listed(self.missing),
                categories=listed(self.categories),
            )
            _common.say_notes([*old.notes, *new.notes], self.quiet)
            from otdist.evaluation.drift import JOINT

            names, gaps = list(old.columns), [f"{name}: missing" for name in old.columns]
            if self.window is None:
                names.append(JOINT)
            gates = self.gates(names, alone=True, also=gaps)
            report = self._drift(old, new)
            for name in gates:
                if name in names and name not in report.metrics:
                    why = "; ".join(report.notes[1:])
                    raise ValueError(f"{name} has a limit, but is not compared: {why}")
            self.draw(report)
        content = _common.record(
            "drift", (old, new), correction=self.correction, block=self.block, **report.to_dict()
        )
        self.publish(content, lambda: show_report(report))
        results = [(name, r) for name, found in report.samples.items() for r in found.values()]
        if JOINT not in gates:
            leave([(name, r) for name, r in results if r.name != JOINT], gates, _effect)
        else:
            leave(results, gates, _effect)
        self._moved(report)

    def _check_options(self) -> None:
        """Options that do not go together."""
        from otdist.evaluation.corrections import CORRECTIONS

        if self.step is not None and self.window is None:
            raise usage("--step", "applies with --window only")
        for option, value in (("--window", self.window), ("--step", self.step)):
            if value is not None and value % self.block:
                raise usage(option, f"must be a multiple of --block, {self.block}: got {value}")
        if self.alpha is not None and self.n_permutations == 0:
            raise usage("--alpha", "needs p-values, and --n-permutations is 0")
        if self.correction not in CORRECTIONS:
            raise usage("--correction", f"must be one of {', '.join(CORRECTIONS)}")

    def _drift(self, old: Table, new: Table) -> Report:
        import otdist

        try:
            return otdist.drift(
                old.columns,
                new.columns,
                listed(self.columns),
                correction=self.correction,
                n_permutations=self.n_permutations,
                block=self.block,
                window=self.window,
                step=self.step,
                seed=self.seed,
                progress=not self.quiet,
            )
        except ValueError as error:
            files = f"reference: {self.reference}, current: {self.current}"
            raise ValueError(f"{error} ({files})") from None

    def _moved(self, report: Any) -> None:
        """The gate of p-values."""
        from otdist.evaluation.corrections import growth

        if self.alpha is None:
            return
        moved = [
            f"{key}{f' in rows {name}' if report.windows else ''} (p = {result.pvalue:.3g})"
            for name, results in report.samples.items()
            for key, result in results.items()
            if result.pvalue is not None and result.pvalue <= self.alpha
        ]
        tests = [r.test for found in report.samples.values() for r in found.values() if r.test]
        if not moved and self.n_permutations is not None and tests:
            least = growth(len(tests) - (not report.windows), self.correction)
            least /= self.n_permutations + 1
            if least > self.alpha:
                note = f"no p-value could reach --alpha {self.alpha:g}: the least is {least:.2g}"
                _common.say_notes([f"{note}; raise --n-permutations"], self.quiet)
        if moved:
            raise fail(f"moved: {', '.join(moved)}", ExitCode.GATE_FAILED)


def _effect(result: MetricResult) -> float | None:
    """Free of units. The joint distance of standardised columns is; an unmoved column has 0."""
    from otdist.evaluation.drift import JOINT

    if result.effect is None and (result.name == JOINT or result.estimate == 0):
        return result.estimate
    return result.effect
