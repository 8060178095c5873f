"""Warnings of many solves in one call, held back so that the caller hears of all at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

Told = list[tuple[str, type[Warning]]]
_here = threading.local()


@contextmanager
def held_back() -> Iterator[Told]:
    """Collect in this thread what `result.warn_caller` would tell the caller.

    >>> from otdist.core.result import warn_caller
    >>> with held_back() as told:
    ...     warn_caller("not yet")
    >>> [message for message, _ in told]
    ['not yet']
    """
    before, told = collected(), []
    _here.told = told
    try:
        yield told
    finally:
        _here.told = before


def collected() -> Told | None:
    """Where warnings of this thread go; None where the caller hears them."""
    return getattr(_here, "told", None)
