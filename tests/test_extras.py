"""A missing package is named with the extra that brings it; progress goes where somebody looks."""

import sys
import types
from itertools import count

import pytest

from otdist.core.extras import require
from otdist.core.progress import following, in_command, portions, progress, share_done


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


def test_many_steps_make_few_lines_and_quiet_none(capsys, monkeypatch):
    def lines(steps, *, seconds, total=None, quiet=False):
        clock = count()
        monkeypatch.setattr("time.perf_counter", lambda: seconds * next(clock))
        with in_command(quiet=quiet), progress("solving", total=total) as say:
            for done in range(steps):
                say("step", None if total is None else done)
        return len(capsys.readouterr().err.splitlines())

    assert lines(1001, seconds=1, total=1000) == 1 + 21
    assert lines(1001, seconds=0, total=1000) == 1 + 1, "none within a second of another"
    assert lines(20, seconds=0, total=20) == 1 + 20, "but few steps have one each"
    assert lines(1000, seconds=0) == 1 + 1
    assert lines(11, seconds=1) == 1 + 3, "every five seconds where steps are not counted"
    assert lines(11, seconds=1, quiet=True) == 0


def test_loops_within_loops_report_their_share():
    told = []
    with following(told.append):
        for _ in portions("ab"):
            share_done(0.5)
            for _ in portions([1, 2]):
                pass
    assert told == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1.0, 1.0]
    share_done(0.5)
    assert list(portions("ab")) == ["a", "b"]
    assert len(told) == 8


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
