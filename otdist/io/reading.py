"""What a reader may state about a file where the file does not say it itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeVar

from otdist.core import checks
from otdist.io.errors import DataError, UnknownColumnsError

Result = TypeVar("Result")
FORMATS = (
    "csv", "tsv", "txt", "npy", "npz", "parquet", "feather", "jsonl", "h5", "mat", "pt",
)  # fmt: skip
"""Kinds of files, by their usual endings."""
MODES = ("L", "RGB")
"""Kinds of pixels that images may be converted to."""
NAMES_OF_NOTHING = (
    "", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "Null", "null", "None",
)  # fmt: skip
"""Words that mean a missing cell unless a reader states others; as pandas reads them."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a table or a folder of images is read; None leaves it to the file.

    Attributes:
        sep: Character between the cells of a text file; None takes tab, semicolon or comma, the
            first that cuts the first lines into equally many cells.
        decimal: "." or "," in the numbers of a text file; None takes commas for it where semicolons
            or tabs separate cells and all numbers of a column make sense so.
        header: Whether the first line of a text file names its columns; None looks at it.
        encoding: Of a text file.
        missing: Words and numbers that mean a missing cell, besides an empty one, None and NaN.
        columns: Names to read, in this order; None reads all.
        exclude: Names to leave out.
        categories: Names of columns that are categories even where they hold numbers.
        format: Kind of the file where its ending does not say it: "csv", "npy", "jsonl", ….
        recursive: Whether images in the folders below are read too, such as one folder a class.
        resize: (height, width) that images are brought to, by bicubic interpolation.
        mode: "L" or "RGB": what the pixels of images are converted to.

    >>> Reading(decimal=";")
    Traceback (most recent call last):
    ValueError: decimal must be one of '.', ',': got ';'
    """

    sep: str | None = None
    decimal: str | None = None
    header: bool | None = None
    encoding: str = "utf-8"
    missing: Sequence[Any] | None = None
    columns: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    categories: Sequence[str] = ()
    format: str | None = None
    recursive: bool = False
    resize: Sequence[int] | None = None
    mode: str | None = None

    def __post_init__(self) -> None:
        checks.optional(checks.choice, "decimal", self.decimal, allowed=(".", ","))
        checks.optional(checks.flag, "header", self.header)
        checks.optional(checks.choice, "format", self.format, allowed=FORMATS)
        checks.flag("recursive", self.recursive)
        checks.optional(checks.choice, "mode", self.mode, allowed=MODES)
        if self.resize is not None:
            size = checks.wholes("resize", self.resize)
            if len(size) != 2:
                raise ValueError(f"resize must be a height and a width: got {size}")
            checks.settle(self, resize=size)
        sep = ";" if self.sep is None else checks.instance("sep", self.sep, str, "one character")
        if len(sep) != 1:
            raise ValueError(f"sep must be one character: got {checks.shown(sep)}")
        known = "one that Python knows, such as 'latin-1'"
        try:
            "".encode(checks.instance("encoding", self.encoding, str, known))
        except (LookupError, ValueError):
            raise ValueError(
                f"encoding must be {known}: got {checks.shown(self.encoding)}"
            ) from None
        for name, kind in (("missing", (str, Real)), ("columns", str), ("exclude", str),
                           ("categories", str)):  # fmt: skip
            value = getattr(self, name)
            if value is not None or name in ("exclude", "categories"):
                checks.settle(self, **{name: checks.entries(name, value, kind)})

    @property
    def words(self) -> frozenset[str]:
        """What a missing cell may hold as text."""
        stated = NAMES_OF_NOTHING if self.missing is None else map(str, self.missing)
        return frozenset({"", *(word.strip() for word in stated)})

    @property
    def numbers(self) -> list[float]:
        """Numbers that mean a missing cell."""
        return [float(word) for word in self.words if is_number(word)]

    @property
    def of_images(self) -> list[str]:
        """The options stated that apply to images alone."""
        return [name for name in ("recursive", "resize", "mode") if getattr(self, name)]

    def chosen(self, names: Sequence[str], place: str) -> list[str]:
        """The columns to read among those that there are.

        Raises:
            DataError: one that is not there, or none left.
        """
        stated = [*(self.columns or ()), *self.exclude, *self.categories]
        unknown = [name for name in stated if name not in names]
        if unknown:
            raise UnknownColumnsError(place, unknown, list(names))
        wanted = names if self.columns is None else self.columns
        left = [name for name in wanted if name not in self.exclude]
        if not left:
            raise DataError(f"{place} has no column left to read")
        return left


def read_each(
    readers: Sequence[Callable[[Sequence[str]], Result]], exclude: Sequence[str]
) -> list[Result]:
    """What several readers give that are told which columns to leave out, where these occur.

    Args:
        readers: Each is called with names to leave out.
        exclude: These names; each must be known to one of the readers.

    Raises:
        UnknownColumnsError: a name that none of them knows.
    """
    found, absent = [], []
    last: UnknownColumnsError | None = None
    for reader in readers:
        left = list(exclude)
        while True:
            try:
                found.append(reader(left))
                break
            except UnknownColumnsError as error:
                if not set(error.names) <= set(left):
                    raise
                last, left = error, [name for name in left if name not in error.names]
        absent.append(set(exclude) - set(left))
    if last is not None and set.intersection(*absent):
        raise last
    return found


def is_number(cell: str) -> bool:
    """Whether a cell holds a finite or infinite number; "2024_01" is none, nor is "nan"."""
    try:
        value = float(cell)
    except ValueError:
        return False
    return "_" not in cell and value == value
