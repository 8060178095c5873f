"""Every public name resolves and explains itself, and importing the package costs little."""

import inspect
import subprocess
import sys

import pytest

import otdist

NAMES = [name for name in otdist.__all__ if not name.startswith("__")]


def test_all_is_complete_and_sorted_out():
    assert len(set(otdist.__all__)) == len(otdist.__all__)
    assert set(otdist.__all__) <= set(dir(otdist))


@pytest.mark.parametrize("name", NAMES)
def test_name_resolves_and_has_a_docstring(name):
    assert inspect.getdoc(getattr(otdist, name)), f"otdist.{name} has no docstring"


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        otdist.nonsense  # noqa: B018


@pytest.mark.parametrize("what", ["import otdist", "import otdist.cli", "import otdist.problems"])
def test_import_does_not_bring_torch(what):
    script = f"{what}, sys; print([m for m in ('torch', 'ot', 'matplotlib') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
