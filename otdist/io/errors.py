"""The error of a file that cannot be used."""


class DataError(ValueError):
    """A file of samples cannot be used; the message names the file and the place in it.

    >>> from otdist.io import read_samples
    >>> try:
    ...     read_samples("nowhere.npy")
    ... except DataError as error:
    ...     print(error)
    nowhere.npy: no such file
    """
