"""Keep stdout and global state as they are while other code runs, such as the import of a library.

Stdout belongs to the record that a command prints. Libraries print there when they are imported,
from Python and from C, so that output is redirected at the level of file descriptors.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import sys
import warnings
from collections.abc import Iterator
from typing import TextIO

import numpy as np


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[TextIO]:
    """Send what Python or C code prints inside to stderr; the value is the stdout of before.

    >>> with stdout_to_stderr() as record:
    ...     print("from a library")
    ...     print("the record", file=record)
    the record
    """
    before = sys.stdout
    with contextlib.suppress(AttributeError, ValueError):  # none, as in a windowed program; closed
        before.flush()
    _flush_c()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        try:
            kept = os.dup(1)
            stack.callback(os.close, kept)
            os.dup2(2, 1)
        except OSError:  # a process without these descriptors
            yield before
            return
        stack.callback(os.dup2, kept, 1)
        stack.callback(_flush_c)
        yield stack.enter_context(_writer(before, kept))


@contextlib.contextmanager
def as_before() -> Iterator[None]:
    """Keep stdout, random state and warning filters from what the code inside does to them.

    >>> before = random.getstate()
    >>> with as_before():
    ...     _ = random.random()
    >>> random.getstate() == before
    True
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with stdout_to_stderr(), warnings.catch_warnings():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextlib.contextmanager
def _writer(before: TextIO, kept: int) -> Iterator[TextIO]:
    """`before`, by way of the descriptor `kept` where it would write to descriptor 1."""
    try:
        own = before.fileno() != 1
    except (AttributeError, OSError):  # a notebook or a test replaced it
        own = True
    if own:
        yield before
        return
    with open(kept, "w", encoding=before.encoding, errors=before.errors, closefd=False) as stream:
        yield stream


def _flush_c() -> None:
    """Write out what C code has printed so far."""
    ctypes.CDLL("ucrtbase" if os.name == "nt" else None).fflush(None)
