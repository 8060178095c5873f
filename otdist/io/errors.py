"""The error of a file that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from otdist.core.extras import MissingExtraError


class DataError(ValueError):
    """A file of samples cannot be used; the message names the file and the place in it.

    >>> from otdist.io import read_samples
    >>> try:
    ...     read_samples("nowhere.npy")
    ... except DataError as error:
    ...     print(error)
    nowhere.npy: no such file
    """


class UnknownColumnsError(DataError):
    """Columns that were named and are not there.

    Attributes:
        names: Of these columns.
    """

    def __init__(self, place: str, names: list[str], known: list[str]) -> None:
        super().__init__(f"{place} has no column {', '.join(names)}: it has {known}")
        self.names = names


@contextmanager
def reading_file(name: str) -> Iterator[None]:
    """Errors of the operating system become a DataError that names the file.

    A missing package is an ImportError that names it as well.
    """
    try:
        yield
    except MissingExtraError as error:
        raise MissingExtraError(f"{name}: {error}") from None
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror or error}") from error
