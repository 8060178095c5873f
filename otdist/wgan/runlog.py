"""The log of a run: one JSON object per line, each with its step."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class RunLog:
    """Appends records to a file, or keeps them in memory only where there is no file.

    Args:
        path: The JSONL file; None: memory only.

    >>> log = RunLog(None)
    >>> log.write({"step": 1, "gap": 0.5})
    >>> log.records
    [{'step': 1, 'gap': 0.5}]
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []

    def write(self, record: dict[str, Any]) -> None:
        """Append one record; a kill loses at most this line."""
        self.records.append(record)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, allow_nan=False) + "\n")

    def rewind(self, step: int) -> None:
        """Read the file and drop what came after the step: the resumed run writes it again."""
        if self.path is None or not self.path.exists():
            return
        self.records = [r for r in read(self.path) if r["step"] <= step]
        beside = self.path.with_name(self.path.name + ".tmp")
        beside.write_text("".join(json.dumps(r) + "\n" for r in self.records), encoding="utf-8")
        os.replace(beside, self.path)


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a log file; a last line that a kill cut short is left out."""
    records = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise ValueError(f"{path}, line {number}: not JSON") from error
    return records
