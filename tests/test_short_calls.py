"""How much of the package a small call goes through: most of its time is that of Python's calls."""

import sys
from pathlib import Path

import numpy as np
import pytest

import otdist

PACKAGE = str(Path(otdist.__file__).parent)


def entered(function) -> tuple[int, int]:
    """Files and functions of otdist that a call enters, after a first one."""
    function()
    seen = set()

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            seen.add((frame.f_code.co_filename, frame.f_code.co_qualname))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return len({file for file, _ in seen}), len(seen)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("d, files, functions", [(3, 10, 45), (1, 8, 30)])
def test_a_small_call_enters_few_files_and_functions(d, files, functions, weighted, p):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, d)), rng.normal(size=(50, d))
    a, b = (rng.dirichlet(np.ones(k)) for k in (60, 50)) if weighted else (None, None)
    found = entered(lambda: otdist.wasserstein(x, y, a=a, b=b, p=p))
    assert found[0] <= files
    assert found[1] <= functions
