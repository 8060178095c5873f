"""`python -m benchmarks`: run suites side by side, write JSON, Markdown and plots."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import harness, machine, report
from benchmarks.harness import Settings
from benchmarks.suites import names


def run(
    suite: Annotated[str, typer.Option(help="Names with commas, or all, or quick.")] = "quick",
    seed: Annotated[int, typer.Option(help="Of the problems.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("out/bench"),
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Of every library.")] = Settings.threads,
    rounds: Annotated[int, typer.Option(help="Most rounds of a case.")] = Settings.rounds,
    timeout: Annotated[float, typer.Option(help="Seconds, one call.")] = Settings.timeout,
) -> None:
    """Run suites side by side; results.json, results.md and plots go to the folder."""
    chosen = names() if suite in ("quick", "all") else suite.split(",")
    quick = suite == "quick"
    settings = Settings(seed, device, threads, rounds, timeout=timeout, quick=quick)
    rows = harness.run(chosen, settings, lambda text: print(text, file=sys.stderr, flush=True))
    content = {
        "schema_version": 1,
        "suite": suite,
        "seed": seed,
        "machine": machine.describe(threads, device),
        "rows": rows,
    }
    out.mkdir(parents=True, exist_ok=True)
    text = report.markdown(content, report.plots(rows, out))
    record = json.dumps(content, indent=1, allow_nan=False)
    (out / "results.json").write_text(record + "\n", encoding="utf-8")
    (out / "results.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    typer.run(run)
