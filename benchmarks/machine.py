"""What a figure depends on: versions, processor, its vector instructions, threads."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "otdist",
    "numpy",
    "scipy",
    "torch",
    "POT",
    "geomloss",
    "ott-jax",
    "jax",
    "scikit-learn",
    "prdc",
    "dcor",
    "dask",
    "hyppo",
    "torchmetrics",
    "torch-fidelity",
    "torchcfm",
)
SORTS = {"AVX512_SKX": "AVX-512", "X86_V4": "AVX-512", "AVX2": "AVX2", "X86_V3": "AVX2"}
"""Features of NumPy, the best first, by the instructions that its sort of numbers has for them."""


def describe(threads: int, device: str) -> dict[str, Any]:
    """The header of a result file."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "sort": sort_instructions(),
        "threads": threads,
        "device": _device(device),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def sort_instructions() -> str:
    """The vector instructions that NumPy sorts numbers with on this machine.

    Sorting is most of the work on the line and of slices, and with AVX-512 it takes about half the
    time that it takes with AVX2: ratios between machines of either kind do not compare.
    """
    import numpy as np

    config: Any = np.show_config(mode="dicts")
    names = config["SIMD Extensions"]
    there = {*names.get("baseline", ()), *names.get("found", ())}
    return next((words for name, words in SORTS.items() if name in there), "no vectors known")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def missing(device: str) -> str | None:
    """Why a device cannot be used; None where it can."""
    if device == "cpu":
        return None
    if device != "cuda":
        return f"must be cpu or cuda: got {device!r}"
    import torch

    if torch.cuda.is_available():
        return None
    built = torch.version.cuda
    reason = "torch was built without CUDA" if built is None else "torch finds no CUDA device"
    return f"cuda cannot be measured here: {reason}; leave --device out"


def _device(device: str) -> str:
    if device == "cpu":
        return "cpu"
    import torch

    return f"cpu and {torch.cuda.get_device_name()}"
