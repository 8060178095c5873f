"""`python -m benchmarks`: run suites side by side, write JSON, Markdown and plots.

With the name of an experiment first, such as `python -m benchmarks neural ray table`, run parts of
that; `python -m benchmarks neural --help` lists them. `python -m benchmarks publish` writes every
table and picture of measurements on the site; `python -m benchmarks device` tests and measures on a
CUDA device.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import device as on_device
from benchmarks import harness, machine, publish, records, report
from benchmarks.harness import Settings
from benchmarks.pace import Pace
from benchmarks.process import PREPARATION
from benchmarks.publish import EXPERIMENTS
from benchmarks.suites import LONG, load, names

COMMANDS = {"device": on_device.main, "publish": publish.main}
OUT = Path("out/bench")
EVERY = ("quick", "all")
LIMITS = (
    f"Seconds that one call may take. What is not a call has {PREPARATION} times as many: imports, "
    "inputs, preparation with its compilation, and the truth."
)
MINUTES = "After which no other case begins; --resume goes on from there."


def run(
    suite: Annotated[str, typer.Option(help="Names with commas, or all, or quick.")] = "quick",
    seed: Annotated[int, typer.Option(min=0, help="Of the problems.")] = 0,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the results.")] = OUT,
    device: Annotated[str, typer.Option(help="cpu, or cuda for a CUDA column beside it.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Of every library.")] = Settings.threads,
    rounds: Annotated[int, typer.Option(min=1, help="Most rounds of a case.")] = Settings.rounds,
    timeout: Annotated[float, typer.Option(help=LIMITS)] = Settings.timeout,
    minutes: Annotated[float, typer.Option(help=MINUTES)] = 110.0,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the cases in the folder.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only the cases of --suite quick.")
    ] = False,
) -> None:
    """Run suites side by side; results.json, results.md and plots go to the folder.

    Experiments with commands of their own: coverage, gan, neural and outofcore, each with --help.
    """
    if reason := machine.missing(device):
        raise typer.BadParameter(reason, param_hint="--device")
    if not 0 < timeout < float("inf"):
        text = f"must be a positive number of seconds: got {timeout:g}"
        raise typer.BadParameter(text, param_hint="--timeout")
    if not minutes > 0:
        raise typer.BadParameter(f"must be positive: got {minutes:g}", param_hint="--minutes")
    suites = named(suite)
    settings = Settings(
        seed, device, threads, rounds, timeout=timeout, quick=quick or suite == "quick"
    )
    header = {
        "schema_version": 1,
        "suite": suite if suite in EVERY else ",".join(suites) + quick * " --quick",
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
    measure(content, settings, suites, out, minutes)
    print((out / "results.md").read_text(encoding="utf-8"))


def measure(
    content: dict[str, Any], settings: Settings, suites: list[str], out: Path, minutes: float
) -> None:
    """Add the rows of the cases that are still to be run, and write them after every case."""
    done = {(row["suite"], row["case"]) for row in content["rows"]}
    cases = harness.chosen(suites, settings)
    cases = [(name, case) for name, case in cases if (name, case.key) not in done]
    pace = Pace(cases, records.rows(records.published()))
    print(f"{len(cases)} cases, about {pace.left() / 60:.0f} min", file=sys.stderr, flush=True)
    for (name, case), found in zip(cases, harness.run(cases, settings), strict=False):
        content["rows"] += found
        content["rows"].sort(key=lambda row: row["suite"])
        records.write(
            out / "results.json", records.text_of(content) + "\n"
        )  # an interrupted run keeps what it measured
        pace.next()
        print(f"{pace}: {name}: {case.key}", file=sys.stderr, flush=True)
        if pace.spent > 60 * minutes:
            text = f"{minutes:g} minutes are over: --resume runs the rest"
            print(text, file=sys.stderr, flush=True)
            break
    report.write(content, out)


def named(text: str) -> list[str]:
    """The suites that --suite names, each once.

    Raises:
        BadParameter: one of them is none.
    """
    every = [name for name in names() if name not in LONG]
    found = every if text in EVERY else [name.strip() for name in text.split(",")]
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
    elif name in COMMANDS:
        sys.argv[:2] = [f"{sys.argv[0]} {name}"]
        typer.run(COMMANDS[name])
    else:
        typer.run(run)


if __name__ == "__main__":
    main()
