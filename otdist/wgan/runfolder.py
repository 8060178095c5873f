"""The folder of a run: config.json, log.jsonl and checkpoint.pt; or nothing on disk at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from otdist.wgan import checkpoint
from otdist.wgan.runlog import RunLog


class RunFolder:
    """Where a run writes; without a path it keeps its log in memory and no checkpoint."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.log = RunLog(None if path is None else path / "log.jsonl")
        self._saved: int | None = None

    @classmethod
    def open(cls, path: str | Path | None, *, resume: bool) -> RunFolder:
        """The folder of a new run, or of one that is resumed.

        Raises:
            ValueError: resuming without a folder, or a new run in a folder that holds one.
        """
        if path is None:
            if resume:
                raise ValueError("resume needs the folder of the run: pass out=")
            return cls(None)
        folder = Path(path)
        if not resume and (folder / "checkpoint.pt").exists():
            raise ValueError(f"{folder} already holds a run: resume it, or choose another folder")
        return cls(folder)

    @property
    def seconds(self) -> float:
        """Training time of the parts before this one."""
        return self.log.records[-1]["seconds"] if self.log.records else 0.0

    def start(self, step: int, config: dict[str, Any]) -> None:
        """Prepare the folder for a run that stands at the step."""
        if self.path is None:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        self._saved = step if step else None
        self.log.rewind(step)
        (self.path / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")

    def load(self, device: torch.device) -> dict[str, Any]:
        """The state of the checkpoint."""
        assert self.path is not None
        return checkpoint.load(self.path / "checkpoint.pt", device)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint."""
        if self.path is not None:
            checkpoint.save(state, self.path / "checkpoint.pt")
            self._saved = state["step"]

    def last_good(self) -> str:
        """A sentence on where to find the last good state."""
        if self.path is None or self._saved is None:
            return "No checkpoint was kept: pass out= to have them."
        return f"The state of step {self._saved} is kept in {self.path / 'checkpoint.pt'}."
