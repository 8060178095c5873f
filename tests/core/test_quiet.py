"""Stdout and global state stay as they are while libraries are imported."""

import random
import subprocess
import sys
import warnings

import numpy as np

from otdist.core.quiet import as_before

PRINTS = """
import ctypes, os, sys
from otdist.core.quiet import stdout_to_stderr
print("first")
with stdout_to_stderr() as record:
    print("python")
    ctypes.CDLL(None).puts(b"buffered by C")
    os.write(1, b"descriptor\\n")
    print("record", file=record)
print("last")
"""


def test_only_the_record_reaches_stdout():
    done = subprocess.run([sys.executable, "-c", PRINTS], capture_output=True, text=True)
    assert done.stdout == "first\nrecord\nlast\n"
    assert {"python", "buffered by C", "descriptor"} <= set(done.stderr.split("\n"))


def test_a_closed_stdout_is_no_error():
    code = "import os; os.close(1); from otdist.core.quiet import stdout_to_stderr\n"
    code += "with stdout_to_stderr(): pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Error" not in done.stderr.replace("sys.stdout", "")


def test_random_state_and_warning_filters_are_as_before():
    def state():
        return random.getstate(), str(np.random.get_state()), list(warnings.filters)  # noqa: NPY002

    before = state()
    with as_before():
        random.random()
        np.random.random()  # noqa: NPY002
        warnings.simplefilter("ignore")
    assert state() == before
