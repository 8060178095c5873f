"""Every table and picture of measurements on the site, written from `benchmarks/results.json`.

`python -m benchmarks publish [RUN.json …]` first takes over the cases of new runs, which replace
the same ones of earlier runs. Then it writes the table of the README, the page of
results with its plots, the tables and the picture of the guides, and the tables of the experiments.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import growth, headline, ladder, page, records, report
from benchmarks.plots import plots

ROOT = Path(__file__).parents[1]
EXPERIMENTS = ("coverage", "gan", "neural", "outofcore")
"""Modules with an `EXPERIMENT`, whose tables stand on a page of their own."""
GROWTH, ACCURACY = Path("docs/assets/exact-growth.svg"), Path("docs/assets/exact-accuracy.svg")


def pages(content: dict[str, Any], root: Path = ROOT) -> None:
    """Write all of it below `root`, a copy of the tree where it is not this one.

    Raises:
        ValueError: a page lacks the marks of its table.
    """
    runs, rows = content["runs"], records.rows(content)
    folder = root / "docs" / "benchmarks"
    drawn = plots(rows, folder)
    records.write(folder / "results.md", report.markdown(runs, drawn))
    growth.draw(rows, root / GROWTH)
    growth.draw_accuracy(rows, root / ACCURACY)
    ladder.draw(rows, folder / ladder.PICTURE)
    page.put(folder / "index.md", ladder.SUITE, ladder.section(rows))
    for guide in sorted((root / "docs").glob("*.md")):
        report.fill(guide, runs)
    headline.into(root / "README.md", runs)
    for name in EXPERIMENTS:
        experiment = import_module(f"benchmarks.{name}").EXPERIMENT
        guide = root / experiment.page.relative_to(ROOT)
        experiment.into(guide, content["experiments"][name]["rows"])


def main(
    runs: Annotated[list[Path] | None, typer.Argument(help="results.json of new runs.")] = None,
) -> None:
    """Take over new runs, and write every table and picture of measurements on the site."""
    content = records.published()
    for run in runs or []:
        content = records.merged(content, records.results(run, "RUNS"))
    records.publish(content)
    pages(content)


if __name__ == "__main__":
    typer.run(main)
