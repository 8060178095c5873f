"""What `evaluate`, `test` and `drift` share: where a report goes, and gates on its figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from otdist.cli import _common
from otdist.cli._common import ExitCode, FileOptions, check_target, fail, usage

if TYPE_CHECKING:
    from otdist.evaluation.report import MetricResult, Report

Shape = tuple[int, ...] | None
Gates = dict[str | None, float]
"""Metric → limit; None stands for every metric."""


@dataclass(frozen=True, kw_only=True)
class ReportOptions(FileOptions):
    """Options of a command that makes a report; a command inherits them."""

    fail_above: Annotated[
        list[str] | None, Option(metavar="METRIC=VALUE", help="Exit with 1 above this figure.")
    ] = None
    html: Annotated[Path | None, Option(help="Write the report as one page.")] = None
    plot: Annotated[Path | None, Option(help="Draw a picture of it: .png .svg .pdf")] = None

    def check_targets(self) -> None:
        """Refuse files that cannot be written before the work is done."""
        check_target("--output", self.output)
        check_target("--html", self.html, (".html", ".htm"))
        check_target("--plot", self.plot, _common.PICTURES)

    def draw(self, report: Report, *, kind: str | None = None, shape: Shape = None) -> None:
        """Write the page and the picture that were asked for."""
        if self.html is not None:
            report.to_html(self.html, shape=shape)
        if self.plot is not None:
            report.plot(kind, shape=shape).savefig(self.plot, dpi=150)

    def gates(self, names: Sequence[str], *, alone: bool, also: Sequence[str] = ()) -> Gates:
        """The limits of `--fail-above`, as `limits` reads them."""
        return limits("--fail-above", self.fail_above, names, alone=alone, also=also)


def limits(
    option: str,
    given: Sequence[str] | None,
    names: Sequence[str],
    *,
    alone: bool = False,
    also: Sequence[str] = (),
) -> Gates:
    """The limits of an option that takes METRIC=VALUE.

    Args:
        option: Its name.
        given: What it was given.
        names: Of the metrics that may be named.
        alone: Whether a VALUE without a METRIC is a limit for all of them.
        also: Names that may exist.

    Raises:
        BadParameter: an unknown metric, or no number.
    """
    gates: Gates = {}
    for gate in given or []:
        name, equals, limit = gate.rpartition("=")
        if equals and name not in (*names, *also):
            known = ", ".join(names)
            raise usage(option, f"{name!r} is not among the metrics here: {known}")
        forms = "METRIC=VALUE or VALUE" if alone else "METRIC=VALUE"
        try:
            value = float(limit)
        except ValueError:
            raise usage(option, f"must be {forms}: got {gate!r}") from None
        if not (equals or alone):
            raise usage(option, f"must be {forms}: got {gate!r}")
        if math.isnan(value):
            raise usage(option, "must be a number: nothing is above NaN")
        gates[name if equals else None] = value
    return gates


def show_report(report: Report) -> None:
    """The verdict and tables for a person, aligned text for a pipe."""
    if _common.stdout().isatty():
        from rich.console import Console

        report.print_to(Console(file=_common.stdout()))
    else:
        _common.say(str(report))


def above(result: MetricResult) -> bool:
    """Whether a figure above its limit is the wrong one: always."""
    return True


def leave(
    results: Iterable[tuple[str, MetricResult]],
    gates: Gates,
    figure: Callable[[MetricResult], float | None],
    upwards: Callable[[MetricResult], bool] = above,
) -> None:
    """The exit code: not converged comes before a gate, as such a figure decides nothing.

    Args:
        results: Name of a sample, and a result of it.
        gates: As `limits` returns them.
        figure: What is compared with the limit.
        upwards: Whether the figure must not be above the limit; else it must not be below.
    """
    results = list(results)
    for name, result in results:
        if not result.converged:
            raise fail(f"{result.name} of {name}: {result.note}", ExitCode.NOT_CONVERGED)
    for name, result in results:
        limit = gates.get(result.name, gates.get(None))
        if limit is None:
            continue
        value = figure(result)
        if value is None:
            raise fail(f"{result.name} of {name}: {result.note}", ExitCode.BAD_DATA)
        if value > limit if upwards(result) else value < limit:
            side = "above" if upwards(result) else "below"
            what = f"{result.name} of {name} = {value:.6g} is {side} {limit:g}"
            raise fail(what, ExitCode.GATE_FAILED)
