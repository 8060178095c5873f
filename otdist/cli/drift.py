"""`otdist drift REF CUR`: which columns of a table have moved, with a gate for pipelines."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from otdist.cli import _common
from otdist.cli._common import ExitCode, errors_without_traceback, fail, usage
from otdist.cli._reports import ReportOptions, leave, show_report
from otdist.io import Table, read_columns

if TYPE_CHECKING:
    from otdist.evaluation.report import MetricResult, Report


class Correction(enum.StrEnum):
    """Names on the command line."""

    holm = "holm"
    bonferroni = "bonferroni"
    benjamini_hochberg = "benjamini-hochberg"
    benjamini_yekutieli = "benjamini-yekutieli"
    none = "none"


@dataclass(frozen=True, kw_only=True)
class Drift(ReportOptions):
    """Which columns of a table have moved, by how much, and whether by more than chance.

    A column is numeric where all its cells are numbers, and holds categories otherwise.
    --fail-above COLUMN=VALUE, or VALUE for any column, compares effect sizes.
    """

    reference: Annotated[str, Argument(metavar="REF", help="A table: .csv .parquet .npy …")]
    current: Annotated[str, Argument(metavar="CUR", help="A table with the same columns.")]
    columns: Annotated[str | None, Option(help="Names with commas between; all by default.")] = None
    categories: Annotated[
        str | None, Option(help="Columns of numbers that are categories all the same.")
    ] = None
    correction: Annotated[Correction, Option(help="Of p-values for the number of columns.")] = (
        Correction.holm
    )
    n_permutations: Annotated[
        int, Option(min=0, help="Random labellings; 0 leaves p-values out.")
    ] = 999
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
        """Read, compare, tell; the exit code is the last word."""
        self.check_targets()
        self._check_options()
        with errors_without_traceback():
            old, new = (read_columns(path) for path in (self.reference, self.current))
            _common.say_notes([*old.notes, *new.notes], self.quiet)
            from otdist.evaluation.drift import JOINT

            names = [*(_split(self.columns) or old.columns)]
            if self.window is None:
                names.append(JOINT)
            gates = self.gates(names, alone=True)
            report = self._drift(old, new)
            self.draw(report)
        content = _common.record(
            "drift", (old, new), correction=self.correction.value, block=self.block,
            **report.to_dict(),
        )  # fmt: skip
        self.tell(content, lambda: show_report(report))
        results = [(name, r) for name, found in report.samples.items() for r in found.values()]
        if JOINT not in gates:
            leave([(name, r) for name, r in results if r.name != JOINT], gates, _effect)
        else:
            leave(results, gates, _effect)
        self._moved(report)

    def _check_options(self) -> None:
        """Options that do not go together."""
        if self.step is not None and self.window is None:
            raise usage("--step", "applies with --window only")
        for option, value in (("--window", self.window), ("--step", self.step)):
            if value is not None and value % self.block:
                raise usage(option, f"must be a multiple of --block, {self.block}: got {value}")
        if self.alpha is not None and self.n_permutations == 0:
            raise usage("--alpha", "needs p-values, and --n-permutations is 0")

    def _drift(self, old: Table, new: Table) -> Report:
        import otdist

        chosen = _split(self.categories) or []
        for table in (old, new):
            unknown = [name for name in chosen if name not in table.columns]
            if unknown:
                raise ValueError(f"{table.path} has no column {', '.join(unknown)}")
        first, second = (
            {name: v.astype(str) if name in chosen else v for name, v in table.columns.items()}
            for table in (old, new)
        )
        return otdist.drift(
            first,
            second,
            _split(self.columns),
            correction=self.correction.value,
            n_permutations=self.n_permutations,
            block=self.block,
            window=self.window,
            step=self.step,
            seed=self.seed,
        )

    def _moved(self, report: Any) -> None:
        """The gate of p-values."""
        if self.alpha is None:
            return
        moved = [
            f"{key}{f' in rows {name}' if report.windows else ''} (p = {result.pvalue:.3g})"
            for name, results in report.samples.items()
            for key, result in results.items()
            if result.pvalue is not None and result.pvalue <= self.alpha
        ]
        if moved:
            raise fail(f"moved: {', '.join(moved)}", ExitCode.GATE_FAILED)


def _split(names: str | None) -> list[str] | None:
    return None if names is None else [name.strip() for name in names.split(",")]


def _effect(result: MetricResult) -> float | None:
    """Free of units. The joint distance of standardised columns is; an unmoved column has 0."""
    from otdist.evaluation.drift import JOINT

    if result.effect is None and (result.name == JOINT or result.estimate == 0):
        return result.estimate
    return result.effect
