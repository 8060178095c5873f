"""Optional dependencies: imported where they are needed, and named by their extra when missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class MissingExtraError(ImportError):
    """A package of an extra is not installed; the message names both."""


def require(module: str, extra: str) -> Any:
    """The module, or an ImportError that says what to install.

    Args:
        module: Dotted name, such as "matplotlib.pyplot".
        extra: The extra of otdist that brings it, such as "plot".

    Raises:
        MissingExtraError: the package is not installed. An import error from *inside* an installed
            package passes through unchanged, since installing it again would not help.

    >>> require("json", extra="plot").dumps([1])
    '[1]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise
        raise MissingExtraError(
            f'this needs {module.split(".")[0]}: pip install "otdist[{extra}]"', name=error.name
        ) from error
