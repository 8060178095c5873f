"""`otdist test A B`: a permutation test that two files hold samples of one law."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from otdist._progress import progress
from otdist.cli import _common
from otdist.cli._common import ExitCode, errors_without_traceback, fail, show, to_json, usage


class Statistic(enum.StrEnum):
    """Names on the command line."""

    sliced = "sliced"
    energy = "energy"
    mmd = "mmd"
    wasserstein = "wasserstein"
    sinkhorn = "sinkhorn"


@dataclass(frozen=True)
class Test:
    """Permutation test that two files hold samples of one law; rows must be exchangeable."""

    a: Annotated[str, Argument(metavar="A", help="Samples: .npy .npz:key .csv .parquet .pt")]
    b: Annotated[str, Argument(metavar="B", help="Samples of the same dimension.")]
    statistic: Annotated[Statistic, Option(help="What is compared.")] = Statistic.sliced
    n_permutations: Annotated[int, Option(min=1, help="Random labellings.")] = 999
    n_projections: Annotated[int | None, Option(min=1, help="sliced: directions.")] = None
    p: Annotated[float | None, Option("--p", help="wasserstein, sinkhorn: exponent.")] = None
    eps: Annotated[float | None, Option(help="sinkhorn: strength, in cost units.")] = None
    bandwidth: Annotated[float | None, Option(help="mmd: width of the kernel.")] = None
    seed: Annotated[int, Option(min=0, help="Of labellings and directions.")] = 0
    alpha: Annotated[
        float | None, Option(min=0, max=1, help="Exit with 1 when the p-value is at most this.")
    ] = None
    json: Annotated[bool, Option("--json", help="Print the record as JSON.")] = False
    output: Annotated[Path | None, Option(help="Write the JSON record to this file.")] = None
    plot: Annotated[Path | None, Option(help="Draw the null distribution: .png .svg .pdf")] = None
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress and no notes.")] = False

    def run(self) -> None:
        """Read, test, tell; the exit code is the last word."""
        _common.check_target("--output", self.output)
        _common.check_target("--plot", self.plot, _common.PICTURES)
        with errors_without_traceback():
            options = self._options()
            x, y, _, _ = _common.read_pair(self.a, self.b, None, None)
            _common.say_notes([*x.notes, *y.notes], self.quiet)
            import otdist

            with progress(f"{self.n_permutations} permutations", quiet=self.quiet):
                result = otdist.two_sample_test(
                    x.points,
                    y.points,
                    self.statistic.value,
                    n_permutations=self.n_permutations,
                    seed=self.seed,
                    **options,
                )
            if self.plot is not None:
                result.plot().savefig(self.plot, dpi=150)
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
        if self.output is not None:
            self.output.write_text(to_json(content) + "\n", encoding="utf-8")
        if self.json:
            _common.say(to_json(content))
        else:
            show(f"{Path(self.a).name} against {Path(self.b).name}", _rows(content))
        if self.alpha is not None and result.pvalue <= self.alpha:
            what = f"the samples differ: p = {result.pvalue:.4g} is at most {self.alpha:g}"
            raise fail(what, ExitCode.GATE_FAILED)

    def _options(self) -> dict[str, Any]:
        """The options of the statistic that were given; a wrong one is a usage error."""
        from otdist.inference import statistics

        names = ("n_projections", "p", "eps", "bandwidth")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        try:
            statistics.named(self.statistic.value, given)
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
