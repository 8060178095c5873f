"""What each column of two tables is, by one rule, and so how it is compared.

* *measurement*: numbers, compared by W_1 in units of the column;
* *time*: times, or text that is all dates in ISO form, by W_1 in days;
* *category*: text, truth values, and numbers that are named as categories, by total variation;
* *identifier*: text that never repeats in a table, or whole numbers that never repeat and count the
  rows or whose column is named id, key, index and the like: left out unless named in `columns`;
* *constant*: one value in all rows of both tables, shown without a test.

Missing cells are no values: their share is compared as a result of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from otdist.evaluation.feature_functions import flat
from otdist.evaluation.table_columns import Categories, Numbers
from otdist.io import DataError, Samples, Table, read_columns, read_samples
from otdist.io.columns import as_categories, frame, missing, typed
from otdist.io.reading import Reading, is_number

Array = np.ndarray
_KINDS = {"f": "numbers", "U": "categories", "M": "times"}
_FEWEST = 10
"""Rows from which values that never repeat are taken for identifiers."""
_NAME = re.compile(r"(^|[\W_])(?i:id|key|index|uuid|guid)$|[a-z](Id|ID|Key|Index|Uuid|Guid)$")
"""Names such as id, user_id and userId."""


def read(value: Any, reading: Reading, name: str, exclude: Sequence[str]) -> dict[str, Array]:
    """Column name → values (n,), of a data frame, a mapping, an Arrow table or an array (n, d).

    A path is a file of `read_columns`.

    Args:
        value: The table.
        reading: What was stated about it.
        name: Of the table, for errors.
        exclude: Columns to leave out, in place of those that were stated.

    Raises:
        ValueError: unknown columns, no rows, or columns of several lengths.
    """
    reading = replace(reading, exclude=exclude)
    if isinstance(value, (str, Path)):
        names = ("columns", "exclude", "missing", "categories")
        value = read_columns(value, **{name: getattr(reading, name) for name in names})
    value = value.columns if isinstance(value, Table) else value
    cells = frame(value)
    if cells is None:
        rows, columns = flat(value, name), reading.columns
        names = [str(i) for i in range(rows.shape[1])] if columns is None else list(columns)
        if len(names) != rows.shape[1]:
            raise ValueError(f"{name} has {rows.shape[1]} columns: got {len(names)} names")
        cells, reading = dict(zip(names, rows.T, strict=True)), replace(reading, columns=None)
    chosen = reading.chosen(list(cells), name)
    table = {key: typed(cells[key], f"{name}: column {key!r}", reading) for key in chosen}
    lengths = {len(column) for column in table.values()}
    if len(lengths) != 1 or min(lengths) < 1:
        raise ValueError(f"{name} must hold columns of one length, at least 1")
    for key in {*reading.categories} & {*table}:
        table[key] = as_categories(table[key])
    return table


def opened(samples: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The samples with paths as `Samples`, and notes on what was done to those.

    Raises:
        DataError: a file that cannot be read, with the name of the sample.
    """
    found = dict(samples)
    for name, value in samples.items():
        if isinstance(value, (str, Path)):
            try:
                found[name] = read_samples(value)
            except DataError as error:
                raise DataError(f"{name} cannot be read: {error}") from None
    return found, [n for v in found.values() if isinstance(v, Samples) for n in v.notes]


def is_table(value: Any) -> bool:
    """Whether columns have names of their own: not those of an array."""
    return isinstance(value, (str, Path, Table)) or frame(value) is not None


def points(samples: Mapping[str, Any]) -> dict[str, Any]:
    """The samples with data frames as arrays (n, d), their columns in the order of the first.

    Truth values are 0 and 1. `Samples` whose columns have names are data frames as well.

    Raises:
        ValueError: columns of text or times, missing cells, or frames with other columns.
    """
    found, order, first = dict(samples), None, ""
    for name, value in samples.items():
        if isinstance(value, Samples) and value.columns is None:
            found[name] = value.points.reshape(value.n, *(value.shape or (value.d,)))
        if isinstance(value, Samples) and value.columns is not None:
            table = dict(zip(value.columns, value.points.T, strict=True))
        elif isinstance(value, Mapping) or frame(value) is None:
            continue
        else:
            table = read(value, Reading(), name, ())
        order, first = order or list(table), first or name
        if set(table) != set(order):
            apart = sorted(set(table) ^ set(order))
            raise ValueError(f"{first} and {name} must have the same columns: got {apart} in one")
        found[name] = np.stack(
            [_numbers(table[key], f"{name}: column {key!r}") for key in order], 1
        )
    return found


def _numbers(column: Array, place: str) -> Array:
    """The column as numbers without gaps."""
    gaps = missing(column)
    if gaps.any():
        raise ValueError(f"{place} must have no missing cell: row {int(gaps.argmax())} has none")
    if column.dtype.kind == "U" and set(np.unique(column)) <= {"True", "False"}:
        return (column == "True").astype(np.float64)
    if column.dtype.kind != "f":
        raise ValueError(f"{place} must hold numbers: got {column[0]!s} in row 0; leave it out")
    return column


def compared(
    old: dict[str, Array], new: dict[str, Array], asked: Iterable[str]
) -> tuple[list[Numbers | Categories], list[str]]:
    """The columns to compare, those of missing cells among them, and notes on what each is.

    Args:
        old: Name → values of the reference.
        new: Name → values of the current table, the same names.
        asked: Names that are compared whatever they are.

    Raises:
        ValueError: a column of numbers in one table and of text in the other; none to compare.
    """
    kept: list[Numbers | Categories] = []
    found: dict[str, list[str]] = {}
    notes: list[str] = []
    for name in old:
        pair = (old[name], new[name])
        gaps = [missing(part) for part in pair]
        there = ~np.concatenate(gaps)
        empty = [
            which for which, gap in zip(("reference", "current"), gaps, strict=True) if gap.all()
        ]
        kind = "empty" if empty else _kind(name, *pair)
        if kind == "identifier" and name not in asked and len(old) > 1:
            notes.append(
                f"{name!r} left out: an identifier, its values never repeat; name it in columns to "
                "compare it"
            )
            continue
        found.setdefault(kind, []).append(name)
        if empty:
            notes.append(f"{name!r} is empty in {' and '.join(empty)}: only its gaps are compared")
        else:
            kept.append(_column(name, *pair, there))
        if not there.all():
            words = "difference of the shares of missing cells"
            share = ", ".join(f"{gap.mean():.3g}" for gap in gaps)
            codes = (~there).astype(np.int64)
            every = np.ones(len(there), dtype=bool)
            kept.append(
                Categories(f"{name}: missing", codes, every, len(gaps[0]), words, f"shares {share}")
            )
    if not kept:
        raise ValueError(f"there is no column to compare: {'; '.join(notes)}")
    told = [
        f"{kind} {len(names) if kind == 'measurement' else ', '.join(names)}"
        for kind, names in found.items()
    ]
    return kept, [f"columns by kind: {'; '.join(told)}", *notes]


def _kind(name: str, old: Array, new: Array) -> str:
    """Measurement, time, category, identifier or constant.

    Raises:
        ValueError: parts of different kinds.
    """
    if old.dtype.kind != new.dtype.kind:
        kinds = " and ".join(_KINDS[part.dtype.kind] for part in (old, new))
        text = next(part for part in (old, new) if part.dtype.kind == "U")
        words = [word for word in np.unique(text[text != ""]).tolist() if not is_number(word)]
        such = (
            f", such as {words[0]!r}" if words and "f" in (old.dtype.kind, new.dtype.kind) else ""
        )
        raise ValueError(
            f"column {name!r} must be of one kind: got {kinds}{such}; state missing, categories or "
            "exclude"
        )
    parts = [part[~missing(part)] for part in (old, new)]
    distinct = [np.unique(part) for part in parts]
    if len(np.unique(np.concatenate(distinct))) == 1:
        return "constant"
    if all(
        _FEWEST <= len(part) == len(values) for part, values in zip(parts, distinct, strict=True)
    ):
        if old.dtype.kind == "U":
            return "identifier"
        if old.dtype.kind == "f" and all((values % 1 == 0).all() for values in distinct):
            counts = all(values[-1] - values[0] == len(values) - 1 for values in distinct)
            if counts or _NAME.search(name):
                return "identifier"
    return {"f": "measurement", "U": "category", "M": "time"}[old.dtype.kind]


def _column(name: str, old: Array, new: Array, there: Array) -> Numbers | Categories:
    cells = np.concatenate([old, new])[there]
    if cells.dtype.kind == "U":
        words, codes = np.unique(cells, return_inverse=True)
        remark = ""
        if all(is_number(word) for word in words.tolist()):
            remark = f"{len(words)} categories: numbers as text"
        convention = "total variation distance of the categories"
        return Categories(name, codes, there, len(old), convention, remark)
    if cells.dtype.kind == "M":
        days = (cells - cells.min()) / np.timedelta64(1, "D")
        return Numbers(name, days, there, len(old), "W_1, days", "times, in days")
    return Numbers(name, cells, there, len(old), "W_1, units of the column")
