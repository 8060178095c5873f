"""One file a suite, with a function `cases() -> list[Case]`."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from benchmarks.case import Case

LONG = ("large",)
"""Suites of a single competitor that take long, and are only run by name."""


def names() -> list[str]:
    """All suites."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> list[Case]:
    """The cases of a suite; a name with dots is a module of yours.

    Raises:
        ValueError: no such suite.
    """
    if "." in name:
        try:
            found = import_module(name)
        except ImportError as error:
            raise ValueError(f"no suite '{name}': {error}") from error
        if not hasattr(found, "cases"):
            raise ValueError(f"no suite '{name}': the module has no function cases()")
        return found.cases()
    if name not in names():
        raise ValueError(f"no suite '{name}', there are: {', '.join(names())}")
    return import_module(f"benchmarks.suites.{name}").cases()
