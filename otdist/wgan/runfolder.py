"""The folder of a run: config.json, log.jsonl and checkpoint.pt; or nothing on disk at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from otdist.wgan import checkpoint


class RunFolder:
    """Where a run writes; without a path it keeps its records in memory and no checkpoint.

    Args:
        path: The folder, or None.
        writes: Whether this process writes to it.

    Attributes:
        records: The log, from the first step of the run.

    >>> folder = RunFolder(None)
    >>> folder.log({"step": 1, "gap": 0.5})
    >>> folder.records
    [{'step': 1, 'gap': 0.5}]
    """

    def __init__(self, path: Path | None, *, writes: bool = True) -> None:
        self.path, self.writes = path, writes and path is not None
        self.records: list[dict[str, Any]] = []
        self._saved: int | None = None

    @classmethod
    def open(cls, path: str | Path | None, *, resume: bool, writes: bool = True) -> RunFolder:
        """Return the folder of a new run, or of one that is resumed.

        Raises:
            ValueError: resuming without a folder, or a new run in a folder that holds one.
        """
        if path is None:
            if resume:
                raise ValueError("resume needs the folder of the run: pass out=")
            return cls(None)
        folder = cls(Path(path), writes=writes)
        if not resume and folder.checkpoint.exists():
            raise ValueError(f"{path} already holds a run: resume it, or choose another folder")
        return folder

    @property
    def checkpoint(self) -> Path:
        """The file of the checkpoint."""
        assert self.path is not None
        return self.path / "checkpoint.pt"

    @property
    def seconds(self) -> float:
        """Training time of the parts before this one."""
        return self.records[-1]["seconds"] if self.records else 0.0

    def start(self, step: int, config: dict[str, Any]) -> None:
        """Prepare for a run that stands at the step: records after it are written again."""
        if self.path is None:
            return
        log = self.path / "log.jsonl"
        self.records = [r for r in read(log) if r["step"] <= step] if log.exists() else []
        self._saved = step if step else None
        if not self.writes:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        self._write_log()
        (self.path / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")

    def log(self, record: dict[str, Any]) -> None:
        """Append one record, or replace that of the same step; a kill loses at most this line."""
        if self.records and self.records[-1]["step"] == record["step"]:
            self.records[-1] = record
            self._write_log()
            return
        self.records.append(record)
        if self.writes and self.path is not None:
            with (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, allow_nan=False) + "\n")

    def _write_log(self) -> None:
        if self.writes and self.path is not None:
            beside = self.path / "log.jsonl.tmp"
            beside.write_text("".join(json.dumps(r) + "\n" for r in self.records), "utf-8")
            os.replace(beside, self.path / "log.jsonl")

    def load(self, device: torch.device) -> dict[str, Any]:
        """Read the state of the checkpoint."""
        return checkpoint.load(self.checkpoint, device)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint."""
        if self.writes:
            checkpoint.save(state, self.checkpoint)
            self._saved = state["step"]

    def last_good(self) -> str:
        """Say where the last good state is."""
        if self.path is None or self._saved is None:
            return "No checkpoint was kept: pass out= to have them."
        return f"The state of step {self._saved} is kept in {self.checkpoint}."


def read(path: Path) -> list[dict[str, Any]]:
    """Read the records of a log file; a last line that a kill cut short is left out."""
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
