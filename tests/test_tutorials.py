"""The tutorials run, in their short mode, and draw their pictures."""

import importlib.util
import re
import warnings
from pathlib import Path

import pytest

from otdist.drawing.style import BLUE, CYCLE, GREY

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"
TEXT = re.compile(r"^```text\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUN = re.compile(r"^```python\n((?!^```).)*?^```\n+```text\n.*?^```", re.MULTILINE | re.DOTALL)
"""Code that runs on the page itself, and what it prints there: not of the script."""
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if not path.name.startswith("_"))


def shape_of(line):
    """A printed line without its figures: their number in a list may differ as well."""
    words = re.sub(r"[\d.,–]*\d[\d.,–]*%?", "#", re.sub("─+", "─", line))
    return re.sub(r"('#',? ?)+", "'#'", " ".join(words.split()))


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_tutorial(path, tmp_path, capsys, monkeypatch):
    """What a page prints is printed by its script, with other figures in the short mode."""
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location(f"tutorial_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        module.main(tmp_path, short=True)
    said = {shape_of(line) for line in capsys.readouterr().out.splitlines()}
    page = RUN.sub("", path.with_suffix(".md").read_text(encoding="utf-8"))
    shown = [line for block in TEXT.findall(page) for line in block.splitlines()]
    assert [line for line in shown if shape_of(line) not in said] == []
    pictures = [file for file in tmp_path.iterdir() if file.suffix in (".png", ".jpg", ".svg")]
    assert pictures
    assert all(picture.stat().st_size > 5000 for picture in pictures)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_tutorial_has_a_page_that_shows_its_pictures(path):
    page = path.with_suffix(".md").read_text(encoding="utf-8")
    included = re.findall(rf'--8<-- "docs/tutorials/{path.name}(?::(\w+))?"', page)
    sections = re.findall(r"--8<-- \[start:(\w+)\]", path.read_text(encoding="utf-8"))
    assert sorted(included) == sorted(sections or [""])
    assert "](../assets/" in page


def test_the_gallery_shows_every_tutorial():
    gallery = (FOLDER / "index.md").read_text(encoding="utf-8")
    linked = re.findall(r"^- \[.*\]\((\w+)\.md\)$", gallery, re.MULTILINE)
    assert sorted(linked) == [path.stem for path in SCRIPTS]
    assert gallery.count("![") == len(SCRIPTS)


@pytest.mark.slow
def test_the_picture_of_the_home_page_holds(tmp_path):
    pytest.importorskip("matplotlib")
    path = FOLDER.parent / "figures" / "bracket.py"
    spec = importlib.util.spec_from_file_location("bracket", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path, short=True)  # asserts that every bracket contains the exact distance
    assert (tmp_path / "bracket.png").stat().st_size > 5000


def test_pictures_have_one_palette():
    palette, root = {BLUE, GREY, *CYCLE}, FOLDER.parents[1]
    for path in [*root.glob("docs/**/*.py"), *root.glob("benchmarks/**/*.py")]:
        for colour in re.findall(r'"(#[0-9a-f]{6})"', path.read_text(encoding="utf-8")):
            is_grey = colour[1:3] == colour[3:5] == colour[5:]
            assert is_grey or colour in palette, f"{path}: {colour}"


ON_WHITE = ("digits-worst", "wgan-digits", "autoencoder", "report-")
"""Images and screenshots; the style sheet leaves them as they are on a dark page."""


@pytest.mark.parametrize("folder", ["assets", "benchmarks"])
def test_charts_have_a_transparent_ground(folder):
    images = pytest.importorskip("PIL.Image")
    for path in (FOLDER.parent / folder).glob("*.svg"):
        assert "fill: #ffffff" not in path.read_text(encoding="utf-8"), path
    for path in (FOLDER.parent / folder).glob("*.png"):
        if not any(word in path.name for word in ON_WHITE):
            picture = images.open(path)
            assert picture.mode == "RGBA", path
            assert picture.getpixel((0, 0))[3] == 0, path
    sheet = (FOLDER.parent / "stylesheets" / "site.css").read_text(encoding="utf-8")
    assert all(f'"{word}"' in sheet for word in ON_WHITE)
