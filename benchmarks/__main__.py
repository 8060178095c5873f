"""`python -m benchmarks`: run suites side by side, write JSON, Markdown and plots.

With the name of an experiment first, such as `python -m benchmarks neural ray table`, run parts of
that; `python -m benchmarks neural --help` lists them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import harness, machine, records, report
from benchmarks.harness import Settings
from benchmarks.suites import load, names

EXPERIMENTS = ("coverage", "gan", "neural", "outofcore")
OUT = Path("out/bench")
EVERY = ("quick", "all")
LIMITS = (
    "Seconds that one call may take. What is not a call has ten times as many: imports, inputs, "
    "preparation with its compilation, and the truth."
)


def run(
    suite: Annotated[str, typer.Option(help="Names with commas, or all, or quick.")] = "quick",
    seed: Annotated[int, typer.Option(min=0, help="Of the problems.")] = 0,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the results.")] = OUT,
    device: Annotated[str, typer.Option(help="cpu, or cuda for a CUDA column beside it.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Of every library.")] = Settings.threads,
    rounds: Annotated[int, typer.Option(min=1, help="Most rounds of a case.")] = Settings.rounds,
    timeout: Annotated[float, typer.Option(help=LIMITS)] = Settings.timeout,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the cases in the folder.")] = False,
) -> None:
    """Run suites side by side; results.json, results.md and plots go to the folder.

    Experiments with commands of their own: coverage, gan, neural and outofcore, each with --help.
    """
    if reason := machine.missing(device):
        raise typer.BadParameter(reason, param_hint="--device")
    if not 0 < timeout < float("inf"):
        text = f"must be a positive number of seconds: got {timeout:g}"
        raise typer.BadParameter(text, param_hint="--timeout")
    chosen = named(suite)
    quick = suite == "quick"
    settings = Settings(seed, device, threads, rounds, timeout=timeout, quick=quick)
    header = {
        "schema_version": 1,
        "suite": suite if suite in EVERY else ",".join(chosen),
        "seed": seed,
        "device": device,
        "rounds": rounds,
        "timeout": timeout,
        "machine": machine.describe(threads, device),
    }
    content = {**header, "rows": earlier(out, header) if resume else []}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(str(error), param_hint="--out") from None
    done = {row["case"] for row in content["rows"]}
    for name, rows in harness.run(chosen, settings, done):
        print(name, file=sys.stderr, flush=True)
        content["rows"] += rows
        content["rows"].sort(key=lambda row: row["suite"])
        report.write(content, out)  # after every case: an interrupted run keeps what it measured
    print((out / "results.md").read_text(encoding="utf-8"))


def named(text: str) -> list[str]:
    """The suites that --suite names, each once.

    Raises:
        BadParameter: one of them is none.
    """
    found = names() if text in EVERY else [name.strip() for name in text.split(",")]
    for name in found:
        try:
            load(name)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--suite") from None
    return list(dict.fromkeys(found))


def earlier(out: Path, header: dict[str, Any]) -> list[harness.Row]:
    """Rows of an interrupted run, if it was the same one.

    Raises:
        BadParameter: the folder holds results of another suite, seed, machine or of other versions,
            or a file that is no result.
    """
    path = out / "results.json"
    if not path.exists():
        return []
    content = records.results(path, "--resume")
    rows = content.pop("rows")
    if content != header:
        text = f"{path} is of another run; choose another --out"
        raise typer.BadParameter(text, param_hint="--resume")
    return rows


def main() -> None:
    """Hand the words after the name of an experiment to it; all else is about suites."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in EXPERIMENTS:
        sys.argv[:2] = [f"{sys.argv[0]} {name}"]
        typer.run(import_module(f"benchmarks.{name}").EXPERIMENT.command())
    else:
        typer.run(run)


if __name__ == "__main__":
    main()
