"""Cells of a column as one of three kinds of array, whatever a file or a data frame holds.

Numbers become float64 with NaN for a missing cell, times datetime64 with NaT, everything else text
with "" for a missing cell. None, NaN, NaT, pandas' NA and an empty cell are all the same.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np

from otdist.io.errors import DataError
from otdist.io.reading import Reading, is_number
from otdist.io.text import comma_note

Array = np.ndarray
_MOSTLY = 0.9
"""Share of numbers among the cells of a text column from which a word is taken for a mistake."""
_LARGEST = 1e300
"""Differences and sums of larger numbers may overflow."""
_ISO = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?\s?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII
)


def missing(column: Array) -> Array:
    """Which cells of a column hold nothing, (n,)."""
    if column.dtype.kind == "U":
        return column == ""
    return np.isnat(column) if column.dtype.kind == "M" else np.isnan(column)


def typed(cells: Any, place: str, reading: Reading) -> Array:
    """A column whose cells have types: of an array, a data frame, an Arrow table or a list.

    Text stays text, except for dates in ISO form. Timedeltas become days.

    Args:
        cells: The column, n cells.
        place: Of the column, for errors.
        reading: What means a missing cell.

    Raises:
        DataError: infinity, cells that are not single values, times with and without time zone.

    >>> import decimal
    >>> typed([decimal.Decimal("1.5"), None, 2], "age", Reading())
    array([1.5, nan, 2. ])
    >>> typed(["Rome", None, float("nan"), ""], "city", Reading()).tolist()
    ['Rome', '', '', '']
    """
    if isinstance(cells, str) or not hasattr(cells, "__iter__"):
        raise DataError(f"{place} must hold one cell a row: got {cells!r}")
    array = _plain(cells)
    if array.ndim != 1:
        raise DataError(f"{place} must hold single cells: got shape {array.shape}")
    if array.dtype.kind == "O":
        array = _of_objects(array, place, reading.words)
    if array.dtype.kind in "Sb":
        array = array.astype(str)
    if array.dtype.kind == "U":
        return _times(_without(array, reading.words), place)
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]")
    if array.dtype.kind == "m":
        return array.astype("timedelta64[us]").astype(np.float64) / 86_400e6
    if array.dtype.kind not in "iuf":
        raise DataError(f"{place} must hold numbers, text or times: got {array.dtype}")
    return _finite(array.astype(np.float64), place, reading.numbers)


def parsed(
    cells: Sequence[str], place: str, reading: Reading, separator: str, *, category: bool = False
) -> tuple[Array, str]:
    """A column of a text file, and what to note about it.

    Args:
        cells: As they stand in the file.
        place: Of the column, for errors.
        reading: What means a missing cell, and the decimal mark.
        separator: Between cells: unless it is a comma, commas may be decimal points.
        category: Whether the column is known to hold categories, be they words or numbers.

    Raises:
        DataError: infinity; a word among numbers, whose meaning must be stated.
    """
    nothing = reading.words
    text = ["" if (word := cell.strip()) in nothing else word for cell in cells]
    words = [word for word in text if word]
    marks = [reading.decimal or ".", *([","] if reading.decimal is None else [])]
    for mark in marks:
        numbers = _numbers(words, mark)
        if numbers is None:
            continue
        if mark == "," and category:
            break
        if mark == separator == "," and reading.decimal is None:
            raise DataError(
                f"{place} holds {words[0]!r}: state decimal (--decimal ,) if its comma is a "
                "decimal point, or categories"
            )
        values = np.full(len(text), np.nan)
        values[[bool(word) for word in text]] = numbers
        note = comma_note(place) if mark == "," and reading.decimal is None else ""
        return _finite(values, place, reading.numbers), note
    strange = [word for word in words if not is_number(word.replace(marks[-1], "."))]
    if len(strange) <= (1 - _MOSTLY) * len(words) and not category:
        row = text.index(strange[0])
        raise DataError(
            f"{place} holds numbers, and {strange[0]!r} in row {row}: state missing (--missing "
            f"{strange[0]}), or that they are categories (--categories), or exclude the column"
        )
    return _times(np.array(text), place), ""


def _numbers(words: list[str], mark: str) -> list[float] | None:
    """All words as numbers with this decimal mark, or None where one is none."""
    if mark != ".":
        words = [word.replace(mark, ".") for word in words]
    try:
        found = [float(word) for word in words]
    except ValueError:
        return None
    # float() reads "2024_01" as 202401.
    return found if all(map(is_number, words if "_" in "".join(words) else [])) else None


def as_categories(column: Array) -> Array:
    """Numbers and times as text, so that equal values are equal words; nothing stays nothing."""
    if column.dtype.kind == "U":
        return column
    if column.dtype.kind == "f":
        words = np.array([f"{value:.17g}" for value in column])
    else:
        words = column.astype(str)
    return np.where(missing(column), "", words)


def frame(value: Any) -> dict[str, Any] | None:
    """Name → column of a data frame, an Arrow table or a mapping; None for anything else."""
    names = getattr(value, "column_names", None)
    if not isinstance(names, list):
        names = getattr(value, "columns", None)
    if names is None and isinstance(value, Mapping):
        names = value
    if names is None or not hasattr(value, "__getitem__"):
        return None
    found = {str(name): value[name] for name in names}
    if len(found) < len(list(names)):
        raise DataError(f"columns must have names of their own: got {list(names)}")
    return found


def _plain(cells: Any) -> Array:
    """A numpy array; lists and types that numpy does not have become objects."""
    if hasattr(cells, "detach"):
        cells = cells.detach().cpu()
        cells = (cells.double() if cells.is_floating_point() else cells).numpy()
    if isinstance(cells, np.ma.MaskedArray):
        gaps = np.ma.getmaskarray(cells)
        cells = cells.data.astype(object)
        cells[gaps] = None
    kind = str(getattr(cells, "dtype", getattr(cells, "type", "")))
    if kind.startswith(("category", "dictionary", "Categorical")):  # codes are no numbers
        cells = [None if _nothing(cell) else str(cell) for cell in _listed(cells)]
    elif hasattr(cells, "to_numpy") and not kind.startswith(("bool", "Bool")):
        array = cells.to_numpy()
        if array.dtype.kind in "iufmM":
            return array
    if isinstance(cells, np.ndarray) and cells.dtype.kind != "O":
        return cells
    cells = _listed(cells)
    out = np.empty(len(cells), dtype=object)
    for place, cell in enumerate(cells):  # at once, cells that are lists would become rows
        out[place] = cell
    return out


def _listed(cells: Any) -> list[Any]:
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(cells, method):
            return getattr(cells, method)()
    return list(cells)


def _nothing(cell: Any) -> bool:
    """None, NaN, NaT or pandas' NA, which is not even equal or unequal to itself."""
    return cell is None or type(cell).__name__ == "NAType" or bool(np.all(cell != cell))


def _of_objects(cells: Array, place: str, words: frozenset[str]) -> Array:
    """Objects as numbers, times, text or truth values, whatever all of them are."""
    there = np.array([not _nothing(cell) for cell in cells], dtype=bool)
    texts = [isinstance(cell, str) for cell in cells]
    if not all(text for text, held in zip(texts, there, strict=True) if held):
        # "NA" among numbers is a missing number.
        pairs = zip(texts, cells, strict=True)
        there &= ~np.array([text and cell.strip() in words for text, cell in pairs], dtype=bool)
    held = cells[there].tolist()
    for cell in held:
        if isinstance(cell, (list, tuple, dict, set, np.ndarray)):
            raise DataError(f"{place} must hold single cells: got a {type(cell).__name__}")
    if all(isinstance(cell, Number) and not isinstance(cell, bool | complex) for cell in held):
        out = np.full(len(cells), np.nan)
    elif all(isinstance(cell, datetime.date | np.datetime64) for cell in held):
        held = _without_zone(held, place)
        out = np.full(len(cells), np.datetime64("NaT"), dtype="datetime64[us]")
    elif all(isinstance(cell, datetime.timedelta | np.timedelta64) for cell in held):
        out = np.full(len(cells), np.timedelta64("NaT"), dtype="timedelta64[us]")
    else:
        out, held = np.full(len(cells), "", dtype=object), [str(cell) for cell in held]
    out[there] = held
    return out.astype(str) if out.dtype.kind == "O" else out


def _without(text: Array, words: frozenset[str]) -> Array:
    """Text without blanks around it, and without the words for a missing cell."""
    text = np.char.strip(text)
    return np.where(np.isin(text, sorted(words)), "", text)


def _finite(values: Array, place: str, nothing: list[float]) -> Array:
    values = np.where(np.isin(values, nothing), np.nan, values)
    large = np.abs(values) > _LARGEST
    if large.any():
        row = int(large.argmax())
        what = "finite" if np.isinf(values[row]) else f"at most {_LARGEST:g} in size"
        raise DataError(f"{place} must be {what}: got {values[row]} at row {row}")
    return values


def _times(text: Array, place: str) -> Array:
    """Text as times where every cell that holds something is a date in ISO form."""
    there = text != ""
    if not there.any() or not all(_ISO.fullmatch(cell) for cell in text[there]):
        return text
    try:
        held = [datetime.datetime.fromisoformat(cell) for cell in text[there].tolist()]
    except ValueError:  # such as the 31st of June
        return text
    out = np.full(len(text), np.datetime64("NaT"), dtype="datetime64[us]")
    out[there] = _without_zone(held, place)
    return out


def _without_zone(times: list[Any], place: str) -> list[Any]:
    """Times of a zone as universal time."""
    zones = {getattr(time, "tzinfo", None) is not None for time in times}
    if len(zones) > 1:
        raise DataError(f"{place} holds times with and without a time zone")
    if zones != {True}:
        return times
    return [time.astimezone(datetime.UTC).replace(tzinfo=None) for time in times]
