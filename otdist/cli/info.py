"""`otdist info`: versions, hardware and optional parts, for a bug report."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated

from typer import Option

from otdist.cli import _common

_EXTRAS = {"plot": "matplotlib", "tables": "pyarrow", "images": "PIL", "dask": "dask"}


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
            extras={extra: find_spec(module) is not None for extra, module in _EXTRAS.items()},
        )
        if self.json:
            _common.say_record(content)
            return
        rows = list(content["versions"].items())
        rows += [("platform", content["platform"]), ("threads", str(content["threads"]))]
        rows += [("gpus", ", ".join(content["gpus"]) or "none")]
        for extra, there in content["extras"].items():
            rows.append((f"otdist[{extra}]", "installed" if there else "not installed"))
        _common.show("otdist", rows)
