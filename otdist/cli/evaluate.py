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
from otdist.cli._common import errors_without_traceback, listed, usage
from otdist.cli._reports import ReportOptions, leave, show_report
from otdist.io import Samples, align, read_samples


@dataclass(frozen=True, kw_only=True)
class Evaluate(ReportOptions):
    """How far fake samples are from real ones, by many metrics, each with its noise floor."""

    real: Annotated[
        str, Argument(metavar="REAL", help="Real samples: .npy .csv … or a folder of images.")
    ]
    fakes: Annotated[list[str], Argument(metavar="FAKE...", help="Samples to compare and rank.")]
    metrics: Annotated[str | None, Option(help="Names with commas between; all by default.")] = None
    features: Annotated[str, Option(help="raw, pca-K or module:function.")] = "raw"
    n_permutations: Annotated[int, Option(min=0, help="For p-values; 0 leaves them out.")] = 0
    max_samples: Annotated[int | None, Option(min=1, help="Most rows of each sample.")] = None
    seed: Annotated[int, Option(min=0, help="Of draws, directions and permutations.")] = 0
    shape: Annotated[str | None, Option(help="Of an image, such as 8,8: shows them.")] = None

    def run(self) -> None:
        """Evaluate the samples, print the report, exit with the code of the gates."""
        self.check_targets()
        with errors_without_traceback():
            wanted = self._wanted()
            gates = self.gates(wanted or _names(), alone=False)
            real, fakes = self._read()
            shape = self._shape(real)
            with _here_importable():
                report = self._evaluate(real, fakes, wanted)
            self.draw(report, shape=shape)
        content = _common.record("evaluate", (real, *fakes.values()), **report.to_dict())
        self.publish(content, lambda: show_report(report))
        results = ((name, r) for name, found in report.samples.items() for r in found.values())
        leave(results, gates, lambda result: result.estimate)

    def _wanted(self) -> list[str] | None:
        from otdist.evaluation import metrics

        names = listed(self.metrics)
        try:
            metrics.chosen(names)
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

    def _read(self) -> tuple[Samples, dict[str, Samples]]:
        """The real sample, and the fakes by the shortest names that differ."""
        real, *others = self.read(read_samples, [self.real, *self.fakes])
        short = [Path(path).stem for path in self.fakes]
        unique = len(set(short)) == len(short) and "real" not in short
        names = short if unique else self.fakes
        if len(set(names)) < len(names):
            raise usage("FAKE", "a file is given twice")
        fakes = {name: align(real, x)[1] for name, x in zip(names, others, strict=True)}
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


def _names() -> list[str]:
    from otdist.discrepancy import DISCREPANCIES

    return list(DISCREPANCIES)
