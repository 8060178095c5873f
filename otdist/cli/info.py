"""`otdist info`: versions, hardware and optional parts, for a bug report."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated

from typer import Option

from otdist.cli import _common

EXTRAS = {
    "plot": ("matplotlib",),
    "tables": ("pyarrow", "pandas"),
    "images": ("PIL",),
    "dask": ("dask", "distributed"),
    "hdf5": ("h5py",),
    "encoders": ("torchvision", "torch_fidelity", "open_clip"),
    "keras": ("keras",),
    "torchmetrics": ("torchmetrics",),
    "lightning": ("lightning",),
    "ignite": ("ignite",),
    "sklearn": ("sklearn",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
}
"""The modules of every extra that adds a function, in the order of the list."""


@dataclass(frozen=True)
class Info:
    """Versions, hardware and which optional parts are installed."""

    json: Annotated[bool, Option("--json", help="Print the record as JSON.")] = False

    def run(self) -> None:
        """Print what is installed."""
        import torch

        from otdist.core.threads import thread_count

        content = _common.record(
            "info",
            (),
            platform=platform.platform(),
            threads=thread_count(),
            gpus=[torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
            extras={extra: not missing(extra) for extra in EXTRAS},
        )
        if self.json:
            _common.say_record(content)
            return
        rows = list(content["versions"].items())
        rows += [("platform", content["platform"]), ("threads", str(content["threads"]))]
        rows += [("gpus", ", ".join(content["gpus"]) or "none")]
        for extra, there in content["extras"].items():
            lacking = "not installed: " + ", ".join(missing(extra))
            rows.append((f"otdist[{extra}]", "installed" if there else lacking))
        if absent := [extra for extra, there in content["extras"].items() if not there]:
            rows.append(("to install all", f'pip install "otdist[{",".join(absent)}]"'))
        _common.show("otdist", rows)


def missing(extra: str) -> list[str]:
    """The modules of an extra that cannot be imported here."""
    return [module for module in EXTRAS[extra] if find_spec(module) is None]
