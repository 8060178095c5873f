"""Samples past memory: recognised here and nowhere else, and handed to the room that streams them.

A dask array must never slip into `numpy.asarray`, which would gather it whole on this machine. The
functions that have a method in blocks ask `is_large` first and hand the call over, by name, as
`otdist.__init__` finds its names; everywhere else `arrays` refuses. Dask is never imported for
the question: where nobody has imported it, nothing can be a dask array.
"""

from __future__ import annotations

import sys
from importlib import import_module
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


def hand_over(name: str, *samples: Any, **options: Any) -> Any:
    """The result of the function `name` of `outofcore`, where an argument is a dask array."""
    return getattr(import_module("otdist.outofcore"), name)(*samples, **options)


def refuse(name: str) -> TypeError:
    """The error for a dask array where there is no method in blocks."""
    return TypeError(
        f"{name} is a dask array, which this function would have to gather whole. "
        f"In blocks there are {STREAMED}; or pass {name}.compute(), or a part such as "
        f"{name}[::100].compute(), where that fits in memory"
    )
