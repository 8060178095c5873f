"""The rows of a report: which discrepancies are asked for, under which names."""

from __future__ import annotations

from collections.abc import Sequence

from otdist.core import checks
from otdist.discrepancy import DISCREPANCIES, UNASKED, named
from otdist.discrepancy.base import Discrepancy

Wanted = dict[Discrepancy, list[str]]
"""What is computed once → names of the rows that it fills."""


def names() -> list[str]:
    """The rows of a report that asks for none in particular."""
    return [name for name in DISCREPANCIES if name not in UNASKED]


def chosen(wanted: Sequence[str] | str | None) -> Wanted:
    """The discrepancies behind the named rows, all by default, in the order of the table.

    Raises:
        ValueError: an unknown name, or none.
        TypeError: no names.
    """
    asked = names() if wanted is None else checks.names("metrics", wanted, DISCREPANCIES)
    found: Wanted = {}
    for name in DISCREPANCIES:
        if name in asked:
            found.setdefault(named(name, {}, "report"), []).append(name)
    return found
