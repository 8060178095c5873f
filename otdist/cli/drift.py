"""`otdist drift REF CUR`: which columns of a table have moved, with a gate for pipelines."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from otdist.cli import _common
from otdist.cli._common import ExitCode, errors_without_traceback, fail, to_json


class Correction(enum.StrEnum):
    """Names on the command line."""

    holm = "holm"
    bonferroni = "bonferroni"
    none = "none"


@dataclass(frozen=True)
class Drift:
    """Which columns of a table have moved, by how much, and whether by more than chance."""

    reference: Annotated[str, Argument(metavar="REF", help="A table of numbers: .csv .parquet …")]
    current: Annotated[str, Argument(metavar="CUR", help="A table with the same columns.")]
    columns: Annotated[str | None, Option(help="Names with commas between; all by default.")] = None
    correction: Annotated[Correction, Option(help="Of p-values for the number of columns.")] = (
        Correction.holm
    )
    n_permutations: Annotated[int, Option(min=1, help="Random labellings.")] = 999
    seed: Annotated[int, Option(min=0, help="Of the labellings.")] = 0
    alpha: Annotated[
        float | None, Option(min=0, max=1, help="Exit with 1 when a p-value is at most this.")
    ] = None
    json: Annotated[bool, Option("--json", help="Print the record as JSON.")] = False
    output: Annotated[Path | None, Option(help="Write the JSON record to this file.")] = None
    html: Annotated[Path | None, Option(help="Write the report as one page.")] = None
    plot: Annotated[Path | None, Option(help="Draw the effect sizes: .png .svg .pdf")] = None
    quiet: Annotated[bool, Option("--quiet", "-q", help="No notes.")] = False

    def run(self) -> None:
        """Read, compare, tell; the exit code is the last word."""
        _common.check_target("--output", self.output)
        _common.check_target("--html", self.html, (".html", ".htm"))
        _common.check_target("--plot", self.plot, _common.PICTURES)
        with errors_without_traceback():
            x, y, _, _ = _common.read_pair(self.reference, self.current, None, None)
            _common.say_notes([*x.notes, *y.notes], self.quiet)
            report = self._drift(x.points, y.points, x.columns or y.columns)
            if self.html is not None:
                report.to_html(self.html)
            if self.plot is not None:
                report.plot().savefig(self.plot, dpi=150)
        content = _common.record(
            "drift", (x, y), correction=self.correction.value, **report.to_dict()
        )
        if self.output is not None:
            self.output.write_text(to_json(content) + "\n", encoding="utf-8")
        if self.json:
            _common.say(to_json(content))
        elif sys.stdout.isatty():
            from rich.console import Console

            Console().print(*report.tables())
        else:
            _common.say(str(report))
        self._leave(report)

    def _drift(self, x: Any, y: Any, names: tuple[str, ...] | None) -> Any:
        import otdist

        names = names or tuple(str(i) for i in range(x.shape[1]))
        wanted = None
        if self.columns is not None:
            wanted = [name.strip() for name in self.columns.split(",")]
        return otdist.drift(
            dict(zip(names, x.T, strict=True)),
            dict(zip(names, y.T, strict=True)),
            wanted,
            correction=self.correction.value,
            n_permutations=self.n_permutations,
            seed=self.seed,
        )

    def _leave(self, report: Any) -> None:
        if self.alpha is None:
            return
        moved = [
            f"{name} (p = {result.pvalue:.3g})"
            for name, result in report.metrics.items()
            if result.pvalue is not None and result.pvalue <= self.alpha
        ]
        if moved:
            raise fail(f"moved: {', '.join(moved)}", ExitCode.GATE_FAILED)
