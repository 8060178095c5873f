"""The error of a file that cannot be used."""


class DataError(ValueError):
    """A file of samples cannot be used; the message names the file and the place in it."""
