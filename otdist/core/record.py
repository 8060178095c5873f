"""Records of a run: strict JSON, and the environment that its figures depend on."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def to_json(content: dict[str, Any]) -> str:
    """Strict JSON: numbers that JSON does not have (inf, NaN) become null.

    >>> to_json({"a": [float("nan"), 1.0]}).split()
    ['{', '"a":', '[', 'null,', '1.0', ']', '}']
    """
    return json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def versions() -> dict[str, str]:
    """Versions that a figure depends on."""
    found = {"python": platform.python_version()}
    for package in ("otdist", "numpy", "scipy", "torch", "POT"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def environment() -> dict[str, str]:
    """Versions, system and hardware, in words."""
    found = versions()
    found["system"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    torch = sys.modules.get("torch")  # only where it is at work already
    if torch is not None:
        found["threads"] = str(torch.get_num_threads())
        if torch.cuda.is_available():
            found["gpu"] = torch.cuda.get_device_name()
    return found
