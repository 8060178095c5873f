"""The blocks of code in README and docs run as written, and print what the page says they print.

Blocks of one page share a namespace, from top to bottom. A ```text block right after a ```python
block is its output; figures of time ("0.31 s") may differ, other figures by rounding
(`close`), words may not. A block that
prints must be followed by what it prints. Blocks with >>> are doctests. A line
<!-- not run: reason --> before a block leaves it out. Lines of shell that start with `otdist`
run too, on small files of the names that they use.
"""

import contextlib
import doctest
import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from otdist.cli import app
from otdist.cli._common import ExitCode

ROOT = Path(__file__).parents[1]
NUMBER = re.compile(r"\d+\.\d+(?:e[+-]?\d+)?")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^\n]+ -->\n\n?)?"
    r"^(?P<indent> *)```python\n(?P<code>.*?)^(?P=indent)```\n"
    r"(?:\n*(?P=indent)```text\n(?P<output>.*?)^(?P=indent)```$)?",
    re.MULTILINE | re.DOTALL,
)
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECOND = ("generated", "ours", "theirs", "fake", "b", "february", "today")
"""Names of what is compared with the rest."""
FILES = (
    "real.npy",
    "train.npy",
    "generated.npy",
    "ours.npy",
    "theirs.npy",
    "digits.npy",
    "real.csv",
    "a.csv",
)
FILES += ("b.csv", "reference.csv", "past.csv", "today.csv", "january.csv", "february.csv")
FILES += ("january.parquet", "february.parquet", "photographs/", "generated/", "real/", "fake/")
TIME = re.compile(r"\d+(\.\d+)?(e-?\d+)? (s|ms)\b")


def dedented(text: str, indent: str) -> str:
    return re.sub(f"^{indent}", "", text, flags=re.MULTILINE)


def normal(text: str) -> str:
    lines = (line.rstrip() for line in TIME.sub("T", text).strip().splitlines())
    return "\n".join(lines)


def close(said: str, page: str) -> bool:
    """Whether words are equal, and figures with a decimal point within 0.1%.

    Vector instructions round differently from machine to machine. Where optimal potentials are not
    unique, that decides which are found, and an interval moves by so much.
    """
    pairs = list(zip(NUMBER.findall(said), NUMBER.findall(page), strict=False))
    words = (NUMBER.sub("#", text).split() for text in (said, page))
    return next(words) == next(words) and all(
        float(a) == pytest.approx(float(b), rel=1e-3) for a, b in pairs
    )


def run_page(path: Path) -> int:
    """Run the blocks of a page; the number that ran."""
    text, names, count = path.read_text(encoding="utf-8"), {"__name__": "__page__"}, 0
    for block in BLOCK.finditer(text):
        if block["skip"]:
            continue
        count += 1
        code = dedented(block["code"], block["indent"])
        line = text[: block.start("code")].count("\n")
        if ">>> " in code:
            test = doctest.DocTestParser().get_doctest(code, names, path.name, str(path), line)
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
            failures = io.StringIO()
            runner.run(test, out=failures.write, clear_globs=False)
            assert runner.failures == 0, failures.getvalue()
            names = test.globs
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * line + code, str(path), "exec"), names)
        shown = dedented(block["output"] or "", block["indent"])
        said, page = normal(printed.getvalue()), normal(shown)
        assert said == page or close(said, page), f"{path.name}, line {line + 1}\n{said}"
    return count


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_on_the_page_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(path)


def test_a_wrong_output_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n")
    with pytest.raises(AssertionError):
        run_page(page)
    page.write_text("```python\nprint('2 in 0.5 s')\n```\n```text\n2 in 0.7 s\n```\n")
    assert run_page(page) == 1
    page.write_text("```python\n>>> 1 + 1\n3\n```\n")
    with pytest.raises(AssertionError):
        run_page(page)
    page.write_text("```python\nprint(1 + 1)\n```\n\nThat was 2.\n")
    with pytest.raises(AssertionError, match=r"page\.md, line 2"):
        run_page(page)
    page.write_text("<!-- not run: needs a GPU -->\n```python\n1 / 0\n```\n")
    assert run_page(page) == 0


def decisions(path):
    """Rows of the table "Which function do I want?": what one has, wants, and uses."""
    section = path.read_text(encoding="utf-8").split("## Which function do I want?")[1]
    lines = [line for line in section.split("\n## ")[0].splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return [(have, want, re.sub(r"\[(.*)\]\(.*\)", r"\1", use)) for have, want, use, *_ in cells]


def test_the_decision_table_of_the_readme_is_part_of_that_of_the_site():
    short, long = decisions(ROOT / "README.md"), decisions(ROOT / "docs" / "index.md")
    assert len(short) > 8
    assert set(short) <= set(long)


def commands(path):
    """The lines of shell on a page that call otdist."""
    blocks = SHELL.findall(path.read_text(encoding="utf-8"))
    return [line for block in blocks for line in block.splitlines() if line.startswith("otdist ")]


def write(path, shift):
    """A file or folder as the pages name it: numbers, a table of two columns, or images."""
    rng = np.random.default_rng(0)
    images = path.suffix == "" or path.stem == "digits"
    numbers = rng.normal(shift, 1, (300, 64 if images else 2))
    if path.stem in ("january", "february"):
        table = {"age": numbers[:, 0].tolist(), "city": rng.choice(["Rome", "Oslo"], 300).tolist()}
        if path.suffix == ".parquet":
            import pyarrow
            import pyarrow.parquet

            pyarrow.parquet.write_table(pyarrow.table(table), path)
        else:
            rows = zip(*table.values(), strict=True)
            path.write_text("age,city\n" + "".join(f"{age},{city}\n" for age, city in rows))
    elif path.suffix == ".csv":
        np.savetxt(path, numbers, delimiter=",", header="load,speed", comments="")
    elif path.suffix == ".npy":
        np.save(path, numbers)
    else:
        from PIL import Image

        path.mkdir()
        for i, row in enumerate(10 * numbers[:20] + 100):
            Image.fromarray(row.reshape(8, 8).astype(np.uint8)).save(path / f"{i:02}.png")


@pytest.mark.parametrize("shift", [0, 5], ids=["the same rows", "far apart"])
@pytest.mark.parametrize("page", ["README.md", "docs/cli.md", "docs/evaluation.md"])
def test_commands_on_the_page_run(page, shift, tmp_path, monkeypatch):
    for needed in ("matplotlib", "pyarrow", "PIL"):
        pytest.importorskip(needed)
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        write(Path(name), shift if Path(name).stem in SECOND else 0)
    gated = [line for line in commands(ROOT / page) if "--fail-above" in line or "--alpha" in line]
    for line in commands(ROOT / page) if shift else gated:
        short = re.sub(r"--steps (\d)000", r"--steps \1", line)
        result = CliRunner().invoke(app, shlex.split(short)[1:])
        expected = ExitCode.GATE_FAILED if shift and line in gated else ExitCode.FINE
        assert result.exit_code == expected, f"{line}\n{result.output}"
        for written in re.findall(r"--(?:plot|html|output|out) (\S+)", line):
            assert Path(written).exists(), line


def test_every_command_of_the_pages_is_run():
    pages = {path for path in PAGES if commands(path)}
    assert pages == {ROOT / name for name in ("README.md", "docs/cli.md", "docs/evaluation.md")}
