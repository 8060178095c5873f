"""`otdist evaluate REAL FAKE…`: a report on samples in files, with gates for pipelines."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from otdist.cli import _common
from otdist.cli._common import ExitCode, errors_without_traceback, fail, to_json, usage
from otdist.io import Samples, align, read_samples


@dataclass(frozen=True)
class Evaluate:
    """How far fake samples are from real ones, by many metrics, each with its noise floor."""

    real: Annotated[str, Argument(metavar="REAL", help="Real samples: .npy .npz:key .csv …")]
    fakes: Annotated[list[str], Argument(metavar="FAKE...", help="Samples to compare and rank.")]
    metrics: Annotated[str | None, Option(help="Names with commas between; all by default.")] = None
    features: Annotated[str, Option(help="raw, pca-K or module:function.")] = "raw"
    n_permutations: Annotated[int, Option(min=0, help="For p-values; 0 leaves them out.")] = 0
    max_samples: Annotated[int | None, Option(min=1, help="Most rows of each sample.")] = None
    seed: Annotated[int, Option(min=0, help="Of draws, directions and permutations.")] = 0
    fail_above: Annotated[
        list[str] | None, Option(metavar="METRIC=VALUE", help="Exit with 1 above this estimate.")
    ] = None
    json: Annotated[bool, Option("--json", help="Print the record as JSON.")] = False
    output: Annotated[Path | None, Option(help="Write the JSON record to this file.")] = None
    html: Annotated[Path | None, Option(help="Write the report as one page.")] = None
    plot: Annotated[Path | None, Option(help="Draw the samples: .png .svg .pdf")] = None
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress and no notes.")] = False

    def run(self) -> None:
        """Read, compute, tell; the exit code is the last word."""
        _common.check_target("--output", self.output)
        _common.check_target("--html", self.html, (".html", ".htm"))
        _common.check_target("--plot", self.plot, _common.PICTURES)
        with errors_without_traceback():
            wanted = self._wanted()
            gates = self._gates(wanted)
            real, fakes = self._read()
            with _here_importable():
                report = self._evaluate(real, fakes, wanted)
            if self.html is not None:
                report.to_html(self.html)
            if self.plot is not None:
                report.plot().savefig(self.plot, dpi=150)
        content = _common.record("evaluate", (real, *fakes.values()), **report.to_dict())
        if self.output is not None:
            self.output.write_text(to_json(content) + "\n", encoding="utf-8")
        if self.json:
            _common.say(to_json(content))
        elif sys.stdout.isatty():
            from rich.console import Console

            Console().print(*report.tables())
        else:
            _common.say(str(report))
        _leave(report, gates)

    def _wanted(self) -> list[str] | None:
        from otdist.evaluation import metrics

        if self.metrics is None:
            return None
        names = [name.strip() for name in self.metrics.split(",")]
        try:
            metrics.chosen(names)
        except ValueError as error:
            raise usage("--metrics", str(error)) from None
        return names

    def _gates(self, wanted: list[str] | None) -> dict[str, float]:
        """Metric → limit."""
        from otdist.evaluation.metrics import NAMES

        gates = {}
        for gate in self.fail_above or []:
            name, _, limit = gate.partition("=")
            if name not in (wanted or NAMES):
                raise usage("--fail-above", f"{name!r} is not among the metrics of this report")
            try:
                gates[name] = float(limit)
            except ValueError:
                raise usage("--fail-above", f"must be METRIC=VALUE: got {gate!r}") from None
            if math.isnan(gates[name]):
                raise usage("--fail-above", "must be a number: nothing is above NaN")
        return gates

    def _read(self) -> tuple[Samples, dict[str, Samples]]:
        """The real sample, and the fakes by the shortest names that tell them apart."""
        real = read_samples(self.real)
        short = [Path(path).stem for path in self.fakes]
        unique = len(set(short)) == len(short) and "real" not in short
        names = short if unique else self.fakes
        if len(set(names)) < len(names):
            raise usage("FAKE", "a file is given twice")
        fakes = {}
        for name, path in zip(names, self.fakes, strict=True):
            fakes[name] = align(real, read_samples(path))[1]
        _common.say_notes([note for s in (real, *fakes.values()) for note in s.notes], self.quiet)
        return real, fakes

    def _evaluate(self, real: Samples, fakes: dict[str, Samples], wanted: list[str] | None) -> Any:
        import otdist

        return otdist.evaluate(
            real.points,
            {name: sample.points for name, sample in fakes.items()},
            metrics=wanted,
            features=self.features,
            n_permutations=self.n_permutations,
            max_samples=self.max_samples,
            seed=self.seed,
            progress=not self.quiet,
        )


@contextmanager
def _here_importable() -> Iterator[None]:
    """`module:function` finds modules of the current directory, as `python -m` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _leave(report: Any, gates: dict[str, float]) -> None:
    """The exit code: not converged comes before a gate, as such a figure decides nothing."""
    results = [(name, r) for name, all_ in report.samples.items() for r in all_.values()]
    for name, result in results:
        if not result.converged:
            raise fail(f"{result.name} of {name}: {result.note}", ExitCode.NOT_CONVERGED)
    for name, result in results:
        if result.name not in gates:
            continue
        if result.estimate is None:
            raise fail(f"{result.name} of {name}: {result.note}", ExitCode.BAD_DATA)
        if result.estimate > gates[result.name]:
            what = f"{result.name} of {name} = {result.estimate:.6g} is above"
            raise fail(f"{what} {gates[result.name]:g}", ExitCode.GATE_FAILED)
