"""`python -m benchmarks`: run suites side by side, write JSON, Markdown and plots."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import harness, machine, report
from benchmarks.harness import Settings
from benchmarks.suites import names

LIMITS = (
    "Seconds that one call may take. What is not a call has ten times as many: imports, inputs, "
    "preparation with its compilation, and the truth."
)


def run(
    suite: Annotated[str, typer.Option(help="Names with commas, or all, or quick.")] = "quick",
    seed: Annotated[int, typer.Option(help="Of the problems.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("out/bench"),
    device: Annotated[str, typer.Option(help="cpu, or cuda for a CUDA column beside it.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Of every library.")] = Settings.threads,
    rounds: Annotated[int, typer.Option(help="Most rounds of a case.")] = Settings.rounds,
    timeout: Annotated[float, typer.Option(help=LIMITS)] = Settings.timeout,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the cases in the folder.")] = False,
) -> None:
    """Run suites side by side; results.json, results.md and plots go to the folder."""
    if reason := machine.missing(device):
        raise typer.BadParameter(reason, param_hint="--device")
    chosen = names() if suite in ("quick", "all") else suite.split(",")
    quick = suite == "quick"
    settings = Settings(seed, device, threads, rounds, timeout=timeout, quick=quick)
    header = {
        "schema_version": 1,
        "suite": suite,
        "seed": seed,
        "device": device,
        "rounds": rounds,
        "timeout": timeout,
        "machine": machine.describe(threads, device),
    }
    out.mkdir(parents=True, exist_ok=True)
    content = {**header, "rows": earlier(out, header) if resume else []}
    done = {row["case"] for row in content["rows"]}
    for name, rows in harness.run(chosen, settings, done):
        print(name, file=sys.stderr, flush=True)
        content["rows"] += rows
        content["rows"].sort(key=lambda row: row["suite"])
        report.write(content, out)  # after every case: an interrupted run keeps what it measured
    print((out / "results.md").read_text(encoding="utf-8"))


def earlier(out: Path, header: dict[str, Any]) -> list[harness.Row]:
    """Rows of an interrupted run, if it was the same one.

    Raises:
        BadParameter: the folder holds results of another suite, seed, machine or of other versions.
    """
    path = out / "results.json"
    if not path.exists():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = content.pop("rows")
    if content != header:
        raise typer.BadParameter(f"{path} is of another run; choose another --out")
    return rows


if __name__ == "__main__":
    typer.run(run)
