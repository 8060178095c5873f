"""Files of measurements: results of suites, and rows that experiments add one by one.

A file is written under another name first and then renamed, so that whoever reads it, or stops the
program, finds the old content or the new.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from benchmarks import machine

Row = dict[str, Any]
"""One measurement: what it is of, and what was found, by name."""
HEADER = ("suite", "seed", "device", "rounds", "timeout", "machine")


def write(path: Path, text: str) -> None:
    """Replace the file, or make it, at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def results(path: Path, option: str | None = None) -> dict[str, Any]:
    """The content of a result file of suites.

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


def read(path: Path) -> list[Row]:
    """The rows of experiments that the file holds; none where there is no file."""
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []


def identity(row: Row, key: Sequence[str]) -> str:
    """What a row has in the columns that tell one run from another."""
    return json.dumps([row.get(name) for name in key])


def keep(row: Row, path: Path, key: Sequence[str], threads: int) -> None:
    """Add a row of an experiment to the file, in place of an earlier one with the same key.

    Rows are sorted by the key, a line each. The header is that of the machine that writes.
    """
    rows = {identity(old, key): old for old in read(path)} | {identity(row, key): row}
    ordered = sorted(rows.values(), key=lambda found: [_order(found.get(name)) for name in key])
    head = json.dumps({"machine": machine.describe(threads, "cpu")}, ensure_ascii=False)
    lines = ",\n".join(json.dumps(found) for found in ordered)
    write(path, f'{head[:-1]},\n"rows": [\n{lines}\n]}}\n')


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, all else by its text."""
    number = isinstance(value, (int, float))
    return not number, value if number else 0.0, "" if number else json.dumps(value)
