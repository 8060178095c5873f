"""Samples from stdin, which "-" stands for: a file for the time of reading, as readers go back."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

NAME = "-"


@contextmanager
def as_file(paths: Sequence[str]) -> Iterator[list[str]]:
    """The paths, with a file of its content in place of stdin; errors speak of stdin."""
    if NAME not in paths:
        yield list(paths)
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = str(Path(folder, "stdin"))
        with open(path, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            yield [path if given == NAME else given for given in paths]
        except ValueError as error:
            error.args = tuple(str(part).replace(path, "stdin") for part in error.args)
            raise


def renamed(found: Any, path: str) -> Any:
    """What was read from a file, by the name that the caller gave it."""
    if path != NAME:
        return found
    if isinstance(found, tuple):
        return renamed(found[0], path), *found[1:]
    notes = tuple(note.replace(found.path, "stdin") for note in found.notes)
    return replace(found, path="stdin", notes=notes)
