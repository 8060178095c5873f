"""Files of measurements: the results of one run of suites, and the one file that is published.

A run of suites is a header and rows. The published file, `benchmarks/results.json`, has the runs
that its cases come from, each case once, and the rows of every experiment. A file is written
under another name first and then renamed, so that whoever reads it, or stops the program, finds the
old content or the new.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

from benchmarks import machine

Row = dict[str, Any]
"""One measurement: what it is of, and what was found, by name."""
HEADER = ("suite", "seed", "device", "rounds", "timeout", "machine")
PUBLISHED = Path(__file__).parent / "results.json"


def write(path: Path, text: str) -> None:
    """Replace the file, or make it, at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def text_of(run: dict[str, Any]) -> str:
    """A header and its rows as JSON, a line each.

    >>> print(text_of({"seed": 0, "rows": [{"n": 1}, {"n": 2}]}))
    {"seed": 0,
    "rows": [
    {"n": 1},
    {"n": 2}
    ]}
    """
    head = json.dumps({k: v for k, v in run.items() if k != "rows"}, ensure_ascii=False)
    lines = ",\n".join(json.dumps(row, allow_nan=False, ensure_ascii=False) for row in run["rows"])
    return f'{head[:-1]},\n"rows": [\n{lines}\n]}}'


def results(path: Path, option: str | None = None) -> dict[str, Any]:
    """The content of the file of one run of suites.

    Raises:
        BadParameter: it cannot be read, or is another file; names the option if there is one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"cannot read {path}: {error}", param_hint=option) from None
    names = (*HEADER, "rows")
    lacking = [name for name in names if not isinstance(content, dict) or name not in content]
    if lacking:
        text = f"{path} is no result file of suites: it lacks {', '.join(lacking)}"
        raise typer.BadParameter(text, param_hint=option)
    return content


def runs(path: Path) -> list[dict[str, Any]]:
    """The runs of the published file, or the one run of another.

    Raises:
        BadParameter: it cannot be read, or is neither.
    """
    try:
        found = published(path).get("runs")
    except (OSError, ValueError, AttributeError) as error:
        raise typer.BadParameter(f"cannot read {path}: {error}") from None
    return found or [results(path)]


def published(path: Path = PUBLISHED) -> dict[str, Any]:
    """The runs and experiments of the published file; none of either where there is no file."""
    if not path.exists():
        return {"runs": [], "experiments": {}}
    return json.loads(path.read_text(encoding="utf-8"))


def publish(content: dict[str, Any], path: Path = PUBLISHED) -> None:
    """Write the published file."""
    runs = ",\n".join(text_of(run) for run in content["runs"])
    parts = sorted(content["experiments"].items())
    experiments = ",\n".join(f"{json.dumps(name)}: {text_of(part)}" for name, part in parts)
    write(path, f'{{"runs": [\n{runs}\n],\n"experiments": {{\n{experiments}\n}}}}\n')


def merged(content: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """The published content with a run whose cases take the place of the same ones before.

    Cases that a run leaves out, as a quick one does, stay with the command that measured them.
    """
    cases = {_case(row) for row in run["rows"]}
    kept = [
        {**old, "rows": [row for row in old["rows"] if _case(row) not in cases]}
        for old in content["runs"]
    ]
    return {**content, "runs": [*(old for old in kept if old["rows"]), run]}


def _case(row: Row) -> tuple[str, str]:
    return row["suite"], row["case"]


def rows(content: dict[str, Any]) -> list[Row]:
    """The rows of all runs of the published file, by suite."""
    found = [row for run in content["runs"] for row in run["rows"]]
    return sorted(found, key=lambda row: row["suite"])


def read(path: Path, experiment: str) -> list[Row]:
    """The rows of an experiment that the published file, or one like it, holds."""
    return published(path)["experiments"].get(experiment, {"rows": []})["rows"]


def identity(row: Row, key: Sequence[str]) -> str:
    """What a row has in the columns that tell one run from another."""
    return json.dumps([row.get(name) for name in key])


def keep(row: Row, path: Path, experiment: str, key: Sequence[str], threads: int) -> None:
    """Add a row of an experiment to the file, in place of an earlier one with the same key.

    Rows are sorted by the key. The header is that of the machine that writes.
    """
    content = published(path)
    found = {identity(old, key): old for old in read(path, experiment)} | {identity(row, key): row}
    ordered = sorted(found.values(), key=lambda one: _order(one, key))
    content["experiments"][experiment] = {
        "machine": machine.describe(threads, "cpu"),
        "rows": ordered,
    }
    publish(content, path)


def _order(row: Row, key: Iterable[str]) -> list[tuple[bool, float, str]]:
    """Numbers by size, all else by its text."""
    values = [row.get(name) for name in key]
    return [
        (False, value, "") if isinstance(value, (int, float)) else (True, 0.0, json.dumps(value))
        for value in values
    ]
