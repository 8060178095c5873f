"""The rows of a report: which discrepancies are asked for, under which names."""

from __future__ import annotations

from collections.abc import Sequence

from otdist.core import checks
from otdist.discrepancy import DISCREPANCIES, UNASKED, named
from otdist.discrepancy.base import Discrepancy

Wanted = dict[Discrepancy, list[str]]
"""What is computed once → names of the rows that it fills."""


def names(train: bool = False) -> list[str]:
    """The rows of a report that asks for none in particular, with training rows or without."""
    rows = (name for name in DISCREPANCIES if name not in UNASKED)
    return [name for name in rows if train or not named(name, {}, "report").needs_train]


def chosen(wanted: Sequence[str] | str | None, train: bool = False) -> Wanted:
    """The discrepancies behind the named rows, all by default, in the order of the table.

    Args:
        wanted: Names; None for `names`.
        train: Whether there are training rows.

    Raises:
        ValueError: an unknown name, or none; one that needs training rows where there are none.
        TypeError: no names.
    """
    asked = names(train) if wanted is None else checks.names("metrics", wanted, DISCREPANCIES)
    found: Wanted = {}
    for name in DISCREPANCIES:
        if name in asked:
            one = named(name, {}, "report")
            if one.needs_train and not train:
                raise ValueError(f"train must hold training rows for the metric {name!r}: got None")
            found.setdefault(one, []).append(name)
    return found
