"""Report: metrics of one or several samples as a table, JSON, a self-contained page, pictures."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from otdist.core import checks, record
from otdist.core.extras import require
from otdist.drawing.columns import column as draw_column
from otdist.evaluation.report import alt, page, pictures, tables, terminal, verdict
from otdist.evaluation.report.columns import Column
from otdist.evaluation.report.evidence import Evidence
from otdist.evaluation.report.result import MetricResult


@dataclass(frozen=True, eq=False)
class Report:
    """What `evaluate` and `drift` return.

    Attributes:
        samples: Name of a fake sample → name of a metric → result.
        sizes: Rows of each sample, the reference included.
        dimension: Columns of the features that were compared.
        features: What was compared, in words.
        seed: As given.
        seconds: Wall-clock time.
        reference: Name of what the samples are compared with.
        evidence: Some rows of each sample, for pictures; None where there are none.
        windows: Name of a sample → its first row and the one after its last, where the samples are
            windows of one series.
        notes: What a reader must know about the data as a whole.
        corrected: Whether p-values are corrected for their number; then metrics are columns.
        columns: What pictures need of the columns of two tables; empty where there are none.

    >>> import otdist
    >>> report = otdist.evaluate([[0.0], [1.0], [2.0], [3.0]], [[1.0], [2.0]], metrics=["w1"])
    >>> report.metrics["w1"].estimate, report.ranking
    (0.5, ['fake'])
    """

    samples: dict[str, dict[str, MetricResult]]
    sizes: dict[str, int]
    dimension: int
    features: str
    seed: int | None
    seconds: float
    reference: str = "real"
    evidence: Evidence | None = field(default=None, repr=False)
    windows: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    corrected: bool = False
    columns: dict[str, Column] = field(default_factory=dict, repr=False)

    def __getitem__(self, key: str) -> MetricResult:
        """The metric (or column) of that name, of the best sample: ``report["w1"]``."""
        return self.metrics[checks.choice("key", key, self.metrics)]

    @cached_property
    def verdict(self) -> str:
        """What the figures say together, a sentence for each sample, the best first.

        Never more than the evidence shows; the rule is `verdict.RULE`, printed below the tables.
        """
        if self.corrected:
            return "\n".join(verdict.of_columns(self.samples, self.reference))
        return "\n".join(
            verdict.of_sample(name, self.samples[name], self.ranking, self.reference)
            for name in self.ranking
        )

    def scalars(self) -> dict[str, float]:
        """Every figure that exists by a flat name, as loggers take them.

        Names are ``metric``, ``metric/floor``, ``metric/pvalue`` and the like; with several samples
        ``sample/metric`` and so on.
        """
        found: dict[str, float] = {}
        for name, results in self.samples.items():
            before = f"{name}/" if len(self.samples) > 1 else ""
            for key, result in results.items():
                for figure, value in result.figures().items():
                    found[before + key + (f"/{figure}" if figure != "estimate" else "")] = value
        return found

    def to_frame(self) -> Any:
        """A pandas data frame, one row for each sample and metric, in the order of the ranking.

        Raises:
            ImportError: pandas is not installed.
        """
        pandas = require("pandas", "tables")
        return pandas.DataFrame(
            [
                {"sample": name, "metric": key, **result.to_dict()}
                for name in self.ranking
                for key, result in self.samples[name].items()
            ]
        ).drop(columns="name")

    @classmethod
    def from_json(cls, source: str | Path) -> Report:
        """The report that `to_json` wrote, without its pictures' rows and tests.

        Args:
            source: The text, or the path of a file.

        Raises:
            ValueError: not a record of a report.
        """
        text = str(source)
        if not text.lstrip().startswith("{"):
            text = Path(source).read_text(encoding="utf-8")
        try:
            content = json.loads(text)
            samples = {
                name: {key: MetricResult.from_dict(found) for key, found in results.items()}
                for name, results in content["samples"].items()
            }
            plain = ("sizes", "dimension", "features", "seed", "seconds", "reference", "corrected")
            kept = {name: content[name] for name in plain}
            windows = {name: (rows[0], rows[1]) for name, rows in content["windows"].items()}
            return cls(samples, **kept, windows=windows, notes=tuple(content["notes"]))
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"not a record of a report: {error!r}") from None

    @property
    def metrics(self) -> dict[str, MetricResult]:
        """Metrics of the only sample, or of the first in the ranking."""
        return self.samples[self.ranking[0]]

    @cached_property
    def ranking(self) -> list[str]:
        """Samples from the best mean rank over all metrics to the worst; ties keep their order."""
        names = list(self.samples)
        total = dict.fromkeys(names, 0.0)
        for key in next(iter(self.samples.values())):
            results = {name: self.samples[name][key] for name in names}
            if any(result.estimate is None for result in results.values()):
                continue
            sign = -1 if results[names[0]].higher_is_better else 1
            value = {name: sign * float(results[name].estimate or 0.0) for name in names}
            for name in names:
                total[name] += sum(other < value[name] for other in value.values())
        return sorted(names, key=lambda name: total[name])

    def __str__(self) -> str:
        from rich.console import Console

        out = io.StringIO()
        self.print_to(Console(file=out, width=120))
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines())

    def print_to(self, console: Any) -> None:
        """Print verdict, tables, notes and the rule of the verdict on a console of rich."""
        from rich.text import Text

        console.print(Text(self.verdict), Text(), sep="\n", soft_wrap=not console.is_terminal)
        for title, cells in self._tables():
            console.print(Text(title, style="italic"))
            for table in terminal.fitted(console, cells):
                console.print(table)
        for note in self.notes:
            console.print(Text(f"note: {note}"))
        if not self.corrected:
            console.print(Text(verdict.RULE))

    def _tables(self, *, by_effect: bool = False) -> list[tuple[str, tables.Cells]]:
        """Titles and tables, as text; columns of data by the size of their effect where asked."""
        against = f"{self.reference} ({self.sizes[self.reference]:,} rows)"
        if self.windows:
            title = f"effect size of each window against {against}"
            return [(title, tables.of_windows(self.samples))]
        found = []
        if len(self.samples) > 1:
            cells = tables.of_ranking(self.samples, self.ranking)
            title = "ranking by mean rank, the best first; * the best of a row"
            title += "; floors are of half the rows" if "floor" in cells[0] else ""
            found.append((title, cells))
        for name in self.ranking:
            title = f"{name} ({self.sizes[name]:,}) against {against}"
            results = self.samples[name]
            if by_effect and self.corrected:
                order = sorted(results, key=lambda key: -(results[key].effect or 0.0))
                results = {key: results[key] for key in order}
            found.append((title, tables.of_sample(results)))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain types; figures that do not exist are None, with the reason beside them."""
        return {
            "verdict": self.verdict,
            "ranking": self.ranking,
            "reference": self.reference,
            "sizes": self.sizes,
            "dimension": self.dimension,
            "features": self.features,
            "seed": self.seed,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "corrected": self.corrected,
            "windows": {name: list(rows) for name, rows in self.windows.items()},
            "samples": {
                name: {key: result.to_dict() for key, result in results.items()}
                for name, results in self.samples.items()
            },
            "versions": record.versions(),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """Strict JSON (never NaN), also written to `path` when given."""
        text = record.to_json(self.to_dict())
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def to_html(
        self, path: str | Path | None = None, *, shape: tuple[int, ...] | None = None
    ) -> str:
        """One page without any reference to the outside, also written to `path` when given.

        Tables, pictures, conventions and the environment; it reads on light and dark screens.

        Args:
            path: Where to write it.
            shape: Of a flat row as an image, (h, w), (h, w, 3) or (3, h, w): shows images.

        Raises:
            ImportError: matplotlib, which draws its pictures, is not installed.
            ValueError: a row does not have so many numbers.
        """
        drawn = [
            (title, alt.seen(kind, title, self), self.plot(kind, shape=shape))
            for kind, title in self._kinds(shape)
            if kind != "columns"
        ]
        names = (self.reference, self.ranking[0])
        columns = [
            (name, alt.of_column(name, found, names), draw_column(found, names))
            for name, found in pictures.columns_of(self).items()
        ]
        text = page.page(self, self._tables(by_effect=True), drawn, columns)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _repr_html_(self) -> str:
        return page.fragment(self, self._tables())

    def kinds(self, shape: tuple[int, ...] | None = None) -> list[str]:
        """The pictures that `plot` can draw of this report, the default first."""
        return [kind for kind, _ in self._kinds(shape)]

    def _kinds(self, shape: tuple[int, ...] | None) -> list[tuple[str, str]]:
        found = pictures.PICTURES.items()
        return [(kind, made.title) for kind, made in found if made.exists(self, shape)]

    def plot(self, kind: str | None = None, *, shape: tuple[int, ...] | None = None) -> Any:
        """A matplotlib figure.

        Args:
            kind: One of `kinds()`; the first of them when None. "samples" shows rows in two
                principal components of the reference, with densities; "images" a grid of each
                sample; "worst" the rows that the exact W_1 plan sends farthest, with what it
                matches them with; "growth" exact W_1 against the number of rows; "null" each
                permutation test; "effects" effect sizes; "columns" both distributions and quantiles
                of each column; "windows" effect sizes along a series.
            shape: Of a flat row as an image, (h, w), (h, w, 3) or (3, h, w).

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: this report has no such picture, or a row does not have so many numbers.

        >>> import otdist
        >>> report = otdist.evaluate([[0.0], [1.0]], [[1.0], [2.0]], metrics=["w1"])
        >>> report.kinds()
        ['samples', 'worst']
        """
        shape = None if shape is None else checks.wholes("shape", shape)
        kinds = self.kinds(shape)
        first = kinds[0] if kinds else "none"
        chosen = checks.choice("kind", first if kind is None else kind, kinds)
        return pictures.PICTURES[chosen].draw(self, shape)
