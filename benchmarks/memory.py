"""Memory that a call adds to the peak of its process, or of its device."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path


def meter(device: str) -> Callable[[], float]:
    """Start to measure; the result says how many MB the peak has since risen above now.

    Pages of files do not count: the code of a library, of which a forked process maps a page when
    it first runs there, and files that a caller maps, which the system may drop.
    """
    if device != "cpu":
        return _device_meter()
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    try:
        reset.write_text("5")  # Linux: the peak falls back to what is used now
    except OSError:
        before = peak_of_process()
        return lambda: max(0.0, peak_of_process() - before)

    def fields(*names: str) -> list[float]:
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return [int(lines[name].split()[0]) / 2**10 for name in names]

    used, code = fields("VmRSS", "RssFile")

    def risen() -> float:
        peak, mapped = fields("VmHWM", "RssFile")
        return max(0.0, peak - used - max(0.0, mapped - code))

    return risen


def peak_of_process() -> float:
    """Peak in MB since the process began, that of imports and inputs included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _device_meter() -> Callable[[], float]:
    import torch

    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    used = torch.cuda.memory_allocated()
    return lambda: (torch.cuda.max_memory_allocated() - used) / 2**20


def used(device: str) -> bool:
    """Whether this process has put anything on the device: a call that has not ran on the CPU."""
    if device == "cpu":
        return True
    import torch

    return torch.cuda.max_memory_allocated() > 0
