"""Dask arrays are recognised here and nowhere else.

One must never slip into `numpy.asarray`, which would gather it whole on this machine. The functions
of `distances` that have a method in blocks ask `is_large` first; everywhere else `arrays` refuses.
Dask is never imported for the question: where nobody has imported it, nothing can be a dask array.
"""

from __future__ import annotations

import sys
from typing import Any

STREAMED = (
    "wasserstein (on the line), sliced_wasserstein, gaussian_wasserstein, energy_distance and mmd"
)
"""The functions that take dask arrays, in words for errors."""


def is_large(*samples: Any) -> bool:
    """Whether one of the samples is a dask collection.

    >>> is_large([0.0, 1.0], None)
    False
    """
    dask = sys.modules.get("dask.base")
    return dask is not None and any(dask.is_dask_collection(sample) for sample in samples)


def refuse(name: str, function: str = "this function") -> TypeError:
    """The error for a dask array where there is no method in blocks."""
    return TypeError(
        f"{name} is a dask array, which {function} would have to gather whole. "
        f"In blocks there are {STREAMED}; or pass {name}.compute(), or a part such as "
        f"{name}[::100].compute(), where that fits in memory"
    )
