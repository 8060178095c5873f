"""Data frames of any library: columns are coordinates, and are found by their names.

pandas, polars and Arrow are recognised by what they offer and never imported. Columns become
float64 one by one, so that one of integers, booleans or nullable numbers is exact or refused by
its name, as are text, times and missing values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from torch import Tensor


def column_names(value: Any) -> list[Any] | None:
    """The names of the columns of a data frame; None for anything else."""
    if isinstance(value, (np.ndarray, Tensor, Sequence)):
        return None
    names = getattr(value, "column_names", None)  # Arrow, where `columns` are the data
    names = getattr(value, "columns", None) if names is None else names
    return None if names is None or callable(names) else list(names)


def aligned(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, with data frames as arrays whose columns stand in the order of the first.

    Raises:
        ValueError: two data frames have different columns; a missing value.
        TypeError: a column that does not hold numbers.
    """
    places = common_places(values)
    return {key: table(v, places[key], key) if key in places else v for key, v in values.items()}


def first_columns(values: Mapping[str, Any]) -> list[Any] | None:
    """The columns of the first data frame, which all have; None where there is none.

    Raises:
        ValueError: two data frames have different columns.
    """
    common_places(values)
    return next(filter(None, map(column_names, values.values())), None)


def common_places(values: Mapping[str, Any]) -> dict[str, list[int]]:
    """Where each data frame has the columns of the first one; other values are left out.

    Raises:
        ValueError: two data frames have different columns.
    """
    names = {key: found for key, v in values.items() if (found := column_names(v)) is not None}
    if not names:
        return {}
    first, order = next(iter(names.items()))
    for key, own in names.items():
        if own != order and (set(own) != set(order) or len(own) != len(order)):
            raise ValueError(
                f"{first} and {key} must have the same columns: {first} has {order}, "
                f"{key} has {own}"
            )
    return {
        key: list(range(len(own))) if own == order else [own.index(name) for name in order]
        for key, own in names.items()
    }


def table(frame: Any, places: Sequence[int], name: str) -> np.ndarray:
    """Columns of a data frame as an array, float64.

    Raises:
        ValueError: a missing value.
        TypeError: a column that does not hold numbers.
    """
    names = column_names(frame) or []
    columns = [numbers(_column(frame, k), f"{name}[{names[k]!r}]") for k in places]
    return np.stack(columns, 1, dtype=np.float64) if columns else np.empty((0, 0))


def numbers(column: Any, name: str) -> np.ndarray:
    """A column as an array of floats, exact.

    Raises:
        TypeError: not numbers.
        ValueError: a missing value; integers that float64 would round.
    """
    array = np.asarray(column)
    if array.dtype == object:
        array = _of_objects(array, name)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold numbers: got {getattr(column, 'dtype', array.dtype)}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise _missing(name, np.flatnonzero(np.isnan(array)))
    plain = array.dtype.kind == "f" and array.dtype.itemsize <= 8
    return array if plain else exactly(array, np.float64, name)


def exactly(array: np.ndarray, dtype: Any, name: str) -> np.ndarray:
    """Integers, booleans or long doubles in a floating type that holds them exactly.

    Raises:
        ValueError: it would round one of them.
    """
    out = array.astype(dtype)
    digits = np.finfo(dtype).nmant + 1
    if array.dtype.kind == "f":
        same = (out.astype(array.dtype) == array) | np.isnan(array)
        if not same.all():
            at = int(np.flatnonzero(~same.ravel())[0])
            raise ValueError(
                f"{name} must fit {np.dtype(dtype)}, which rounds the {array.dtype} number "
                f"{array.ravel()[at]!r} (entry {at}): convert it with astype"
            )
    elif array.dtype.itemsize * 8 > digits and array.size:
        low, high = int(array.min()), int(array.max())
        if max(-low, high) > 2**digits:
            # Only multiples of a power of two are left, and none may round up to 2^63 or more.
            limit = 2.0 ** (64 if array.dtype.kind == "u" else 63)
            safe = (out < limit) & (np.where(out < limit, out, 0).astype(array.dtype) == array)
            if not safe.all():
                at = int(np.flatnonzero(~safe.ravel())[0])
                raise ValueError(
                    f"{name} must hold integers that {np.dtype(dtype)} does not round, up to "
                    f"2**{digits}: got {array.ravel()[at]} (entry {at}); subtract a common integer "
                    "from both samples first"
                )
    return out


def _column(frame: Any, place: int) -> Any:
    for access in ("iloc", "column", "to_series"):  # pandas, Arrow, polars
        found = getattr(frame, access, None)
        if found is not None:
            return found[:, place] if access == "iloc" else found(place)
    return frame[list(frame.columns)[place]]


def _of_objects(array: np.ndarray, name: str) -> np.ndarray:
    """Python numbers, as nullable columns give them, as float64."""
    gone = np.array([type(v).__name__ in ("NoneType", "NAType", "NaTType") for v in array], bool)
    for entry in array[~gone]:
        if not isinstance(entry, (Real, np.bool_)):
            raise TypeError(
                f"{name} must hold numbers: got {entry!r} of type {type(entry).__name__}"
            )
    if gone.any():
        raise _missing(name, np.flatnonzero(gone))
    whole = all(isinstance(entry, (int, np.integer, np.bool_)) for entry in array)
    return array.astype(np.int64 if whole else np.float64)


def _missing(name: str, rows: np.ndarray) -> ValueError:
    return ValueError(
        f"{name} must have no missing value: found {len(rows)}, first at row {int(rows[0])}"
    )
