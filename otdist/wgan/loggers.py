"""Callbacks that pass the records of a run on to TensorBoard and to Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from otdist.core import checks
from otdist.core.extras import require
from otdist.wgan.run import Callback

if TYPE_CHECKING:
    from otdist.wgan.trainer import WGANTrainer


class TensorBoardLogger(Callback):
    """Writes every number of a record to TensorBoard, under its generator step.

    Args:
        folder: Where TensorBoard looks for runs; needs `pip install "otdist[tensorboard]"`. Or a
            `torch.utils.tensorboard.SummaryWriter`, or any object with `add_scalar` and `flush`.

    >>> class Printer:
    ...     def add_scalar(self, name, value, step):
    ...         print(f"{name} {value} at {step}")
    ...     def flush(self): ...
    >>> TensorBoardLogger(Printer()).on_log(None, {"step": 3, "gap": 0.5})
    gap 0.5 at 3
    """

    def __init__(self, folder: Any) -> None:
        self.writer = folder
        if isinstance(folder, str | Path):
            require("tensorboard", extra="tensorboard")
            writers = require("torch.utils.tensorboard", extra="tensorboard")
            self.writer = writers.SummaryWriter(str(folder))
        for name in ("add_scalar", "flush"):
            checks.function(f"{name} of folder", getattr(self.writer, name, None))

    def on_log(self, trainer: WGANTrainer | None, record: dict[str, Any]) -> None:
        """Write the numbers of a record."""
        for name, value in record.items():
            if name != "step":
                self.writer.add_scalar(name, value, record["step"])
        self.writer.flush()


class WandbLogger(Callback):
    """Logs every record with Weights & Biases, under its generator step.

    Args:
        run: What `wandb.init` returned, or any object with `log`; None begins one, which needs
            `pip install "otdist[wandb]"`.

    >>> class Run:
    ...     def log(self, record, step):
    ...         print(record, "at", step)
    >>> WandbLogger(Run()).on_log(None, {"step": 3, "gap": 0.5})
    {'gap': 0.5} at 3
    """

    def __init__(self, run: Any = None) -> None:
        self.run = require("wandb", extra="wandb").init() if run is None else run
        checks.function("log of run", getattr(self.run, "log", None))

    def on_log(self, trainer: WGANTrainer | None, record: dict[str, Any]) -> None:
        """Log a record."""
        values = {name: value for name, value in record.items() if name != "step"}
        self.run.log(values, step=record["step"])
