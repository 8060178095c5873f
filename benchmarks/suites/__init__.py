"""One file a suite, with a function `cases() -> list[Case]`."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from benchmarks.case import Case


def names() -> list[str]:
    """All suites."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> list[Case]:
    """The cases of a suite; a name with dots is a module of yours.

    Raises:
        ValueError: no such suite.
    """
    if "." in name:
        return import_module(name).cases()
    if name not in names():
        raise ValueError(f"no suite '{name}', there are: {', '.join(names())}")
    return import_module(f"benchmarks.suites.{name}").cases()
