"""Who draws a result: the rooms that make results know nothing of pictures.

`otdist/__init__.py`, which knows all rooms, enters a painter for each kind of result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PAINTERS: dict[str, Callable[[Any], Any]] = {}
"""Name of a class of results → function that draws one as a matplotlib figure."""


def draw(result: Any) -> Any:
    """A matplotlib figure of the result.

    Raises:
        ImportError: matplotlib is not installed.
    """
    return PAINTERS[type(result).__name__](result)
