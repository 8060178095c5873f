"""A missing package is named with the extra that brings it; progress goes where somebody looks."""

import sys
import types

import pytest

from otdist.core.extras import require
from otdist.core.progress import in_command, progress


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


def test_the_command_writes_a_line_a_stage_to_a_pipe(capsys):
    with in_command(quiet=False), progress("solving", total=3) as say:
        for done, stage in enumerate(("first", "second", "third")):
            say(stage, done)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "otdist: solving"
    assert lines[1].startswith("otdist: solving: first (0 of 3 done")
    assert lines[3].startswith("otdist: solving: third (2 of 3 done")
    assert lines[3].endswith("s left)")


def test_many_steps_make_few_lines_and_quiet_none(capsys):
    with in_command(quiet=False), progress("solving", total=1000) as say:
        for done in range(1001):
            say("step", done)
    with in_command(quiet=False), progress("solving") as say:
        for _ in range(1000):
            say("round")
    assert len(capsys.readouterr().err.splitlines()) == 22 + 2
    with in_command(quiet=True), progress("solving", total=1000) as say:
        say("step", 1)
    assert capsys.readouterr().err == ""


def test_a_notebook_sees_a_bar(capsys, monkeypatch):
    seen = []

    def display(content, *, raw, display_id):
        seen.append(content["text/html"])
        return types.SimpleNamespace(update=lambda content, raw: seen.append(content["text/html"]))

    shell = types.SimpleNamespace(kernel=object())
    fake = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    with progress("solving", total=4) as say:
        say("<first>", 1)
    assert "<progress></progress>" in seen[0]
    assert '<progress value="1" max="4">' in seen[1]
    assert "&lt;first&gt; (1 of 4 done" in seen[1]
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
