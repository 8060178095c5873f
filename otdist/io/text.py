"""Separated text: how its cells are cut, which line holds names, and the numbers in it."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from otdist.io.errors import DataError
from otdist.io.reading import Reading, is_number

_LOOK = 5
"""First lines that must agree on a separator."""
BLANKS = " "
"""As a separator: any number of blanks; lines that begin with # are remarks, as numpy has them."""


@dataclass(frozen=True)
class Text:
    """A text file that has been looked at.

    Attributes:
        path: Of the file.
        encoding: Of its characters.
        separator: Between cells.
        width: Cells of the first line.
        names: Of all its columns, or None where it has no line of names.
        places: Columns to read, by their position.
        notes: What was decided without being stated.
    """

    path: Path
    encoding: str
    separator: str
    width: int
    names: tuple[str, ...] | None
    places: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """Names of the columns to read; their positions where they have none."""
        return [self.names[at] if self.names else str(at) for at in self.places]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Number of the line and the cells of every row, which all have one length."""
        with _opened(self.path, self.encoding) as file:
            reader = _reader(file, self.separator)
            for row, cells in enumerate(islice(filter(None, reader), self.names is not None, None)):
                if len(cells) != self.width:
                    raise DataError(
                        f"{self.path}: row {row} (line {reader.line_num}) has {len(cells)} cells, "
                        f"expected {self.width}"
                    )
                yield reader.line_num, cells

    def points(self, decimal: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
        """All columns to read as numbers, (n, d), and notes."""
        tried = [decimal or "."]
        if decimal is None and self.separator in ";\t":
            tried.append(",")
        for mark in tried:
            try:
                found = self._load(mark)
            except DataError:
                raise
            except ValueError:
                continue
            if found.shape[1] != self.width and len(self.places) == self.width:
                raise DataError(
                    f"{self.path}: {self.width} column names for {found.shape[1]} columns"
                )
            guessed = mark == "," and decimal is None
            return found, (comma_note(str(self.path)),) if guessed else ()
        raise self._reason(tried)

    def plain(self) -> np.ndarray | None:
        """The points where all cells are finite numbers with decimal points, else None.

        Cells are parsed in C: of 200,000 rows of 5 numbers in a quarter of the time that Python
        takes for each cell.
        """
        try:
            found = self._load(".") if len(self.places) == self.width else None
        except ValueError:
            return None
        good = found is not None and found.shape[1] == self.width and np.isfinite(found).all()
        return found if good else None

    def _load(self, decimal: str) -> np.ndarray:
        # Cells cut by csv: loadtxt would overlook rows of another length, or take a decimal comma
        # between quotes for a separator.
        if len(self.places) < self.width or decimal == self.separator:
            cells = [
                [row[at].replace(decimal, ".") for at in self.places] for _, row in self.rows()
            ]
            return np.array(cells, dtype=np.float64).reshape(-1, len(self.places))
        with _opened(self.path, self.encoding) as file:
            lines = filter(str.strip, _lines(file, self.separator))
            if decimal != ".":
                lines = (line.replace(decimal, ".") for line in lines)
            return np.loadtxt(
                lines, delimiter=self.separator, skiprows=int(self.names is not None), ndmin=2,
                dtype=np.float64, comments=None, quotechar='"',
            )  # fmt: skip

    def _reason(self, decimals: list[str]) -> DataError:
        """Read again, slowly, to name the first cell that is not a number."""
        for row, (line, cells) in enumerate(self.rows()):
            for name, at in zip(self.columns, self.places, strict=True):
                cell = cells[at]
                if not any(is_number(cell.replace(mark, ".")) for mark in decimals):
                    name = f"'{name}'" if self.names else name
                    what = f"'{cell}'" if cell.strip() else "an empty cell"
                    remedy = f"; else exclude it (--exclude {self.names[at]})" if self.names else ""
                    if is_number(cell.replace(",", ".")):
                        remedy = "; state decimal (--decimal ,) if its comma is a decimal point"
                    return DataError(
                        f"{self.path}: column {name} is not numeric: {what} in row {row} "
                        f"(line {line}){remedy}"
                    )
        return DataError(f"{self.path}: decimal points and decimal commas stand side by side")


def look(path: Path, reading: Reading) -> Text:
    """Separator and names of a text file; an empty file is an error."""
    blanks = ".txt" in (f".{reading.format}", *path.suffixes)
    with _opened(path, reading.encoding) as file:
        told = _lines(file, BLANKS if blanks else reading.sep)
        lines = list(islice(filter(str.strip, told), _LOOK))
    if not lines:
        raise DataError(f"{path}: is empty")
    separator = reading.sep or _separator(lines, "\t;, " if blanks else "\t;,")
    head = [cells for cells in _reader(lines, separator) if cells]
    first, notes = head[0], ()
    named = reading.header
    if named is None:
        comma = separator != "," or reading.decimal == ","
        plain = [[cell.replace(",", "." if comma else ",") for cell in cells] for cells in head]
        named = _named(plain, reading.words - {""})
        if named and all(map(is_number, first)):
            notes = (f"{path}: the first line, {first[0]}, {first[1]}, …, read as names (header)",)
    if named and len(head) == 1:
        raise DataError(f"{path}: no samples: only a line of column names")
    names = tuple(cell.strip() for cell in first) if named else None
    if names is not None and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: two columns are named '{twice}'")
    wide = range(len(first))
    known = list(names or map(str, wide))
    index = _index(names, head)
    if index and not {known[0]} & {*(reading.columns or ()), *reading.exclude}:
        notes += (f"{path}: the first column, a row index without a name, left out",)
        places = wide[1:]
    else:
        places = wide
    chosen = reading.chosen([known[at] for at in places], str(path))
    return Text(
        path, reading.encoding, separator, len(first), names, tuple(map(known.index, chosen)), notes
    )


def _lines(file: Iterable[str], separator: str | None) -> Iterable[str]:
    """The lines, with one blank between cells where blanks separate them, and without remarks."""
    if separator != BLANKS:
        return file
    return ("" if line.startswith("#") else f"{' '.join(line.split())}\n" for line in file)


def _reader(lines: Iterable[str], separator: str) -> Any:
    return csv.reader(_lines(lines, separator), delimiter=separator)


def _separator(lines: list[str], known: str) -> str:
    """The first of the known ones that cuts all lines into equally many cells."""
    for separator in known:
        widths = {len(cells) for cells in _reader(lines, separator) if cells}
        if len(widths) == 1 and widths.pop() > 1:
            return separator
    return max(",;\t", key=lines[0].count)


def _named(head: list[list[str]], missing: frozenset[str]) -> bool:
    """Whether the first line holds names.

    It does if it holds a word where the second line holds a number, or nothing but words, or if
    its numbers are consecutive years above numbers that are not.
    """
    above, below = head[0], head[1] if len(head) > 1 else head[0]
    first, second = (
        [not is_number(cell) and cell.strip() not in missing for cell in cells]
        for cells in (above, below)
    )
    if len(second) != len(first) or all(first):
        return any(first)
    if any(word and not other for word, other in zip(first, second, strict=True)):
        return True
    return _years(above) and not _years(below)


def _years(cells: list[str]) -> bool:
    """Whether the numbers among the cells, at least two, are consecutive years."""
    numbers = [cell.strip() for cell in cells if is_number(cell)]
    if len(numbers) < 2 or not all(cell.isdecimal() and len(cell) == 4 for cell in numbers):
        return False
    years = list(map(int, numbers))
    return 1800 <= years[0] <= 2200 and years == list(range(years[0], years[0] + len(years)))


def _index(names: tuple[str, ...] | None, head: list[list[str]]) -> bool:
    """Whether the first column is the index of rows that pandas writes without a name."""
    if names is None or len(names) < 2 or names[0] not in ("", "Unnamed: 0"):
        return False
    return not names[0] or all(cells[0] == str(row) for row, cells in enumerate(head[1:]))


def comma_note(place: str) -> str:
    """What is said where decimal commas were found without being stated."""
    return f"{place}: commas read as decimal points (decimal, --decimal)"


@contextmanager
def _opened(path: Path, encoding: str) -> Iterator[TextIO]:
    """The file as text, without a byte order mark, unpacked where it is packed; errors name it."""
    encoding = "utf-8-sig" if encoding.lower().replace("-", "") == "utf8" else encoding
    try:
        with (gzip.open if _packed(path) else open)(
            path, "rt", encoding=encoding, newline=""
        ) as file:
            yield file  # pyright: ignore[reportReturnType]
    except UnicodeError as error:
        raise not_text(path, encoding, error) from None
    except csv.Error as error:
        raise DataError(f"{path}: is not text: {error}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: is damaged or truncated ({error})") from None


def _packed(path: Path) -> bool:
    """Whether the file begins as files of gzip do."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def opened_lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a text file, whose encoding and packing are undone."""
    with _opened(path, encoding) as file:
        yield from file


def not_text(path: Path, encoding: str, error: UnicodeError) -> DataError:
    """What to say of a file whose bytes are no characters."""
    with open(path, "rb") as file:
        start = file.read(4096)
    other = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
    if b"\0" in start and other == "latin-1":
        return DataError(f"{path}: is not text: it holds bytes that are no characters")
    reason = getattr(error, "reason", error)
    return DataError(
        f"{path}: is not {encoding.removesuffix('-sig')} text ({reason}); state its "
        f'encoding, such as encoding="{other}" (--encoding {other})'
    )
