"""A missing package is named with the extra that brings it; progress is for terminals only."""

import sys

import pytest

from otdist.core.extras import require
from otdist.core.progress import progress


def test_missing_package_names_the_extra():
    with pytest.raises(ImportError, match=r'no_such_package: pip install "otdist\[plot\]"'):
        require("no_such_package.deep", extra="plot")


def test_an_error_inside_an_installed_package_passes(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency") as caught:
        require("broken_package", extra="plot")
    assert "otdist[" not in str(caught.value)


@pytest.mark.parametrize("quiet", [True, False])
def test_nothing_is_written_without_a_terminal(quiet, capsys):
    with progress("solving", quiet=quiet) as say:
        say("first stage")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_the_stage_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress("solving") as say:
        say("first stage")
    out, err = capsys.readouterr()
    assert out == ""
    assert "first stage" in err
