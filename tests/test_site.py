"""The checks of the built site notice faults, and every public name has an example.

`make docs` runs the checks on the site itself; here they run on small sites with one fault each.
"""

import doctest
import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest

import otdist

ROOT = Path(__file__).parents[1]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


checks = load("_checks")


def faults(*files, **pages):
    parsed = {f"{name}/index.html": checks.Page(text) for name, text in pages.items()}
    return checks.faults(parsed, {*parsed, *files})


@pytest.mark.parametrize(
    "link",
    [
        "../b/",
        "../b/#there",
        "../b/index.html",
        "#here",
        "#",
        "../x%20y.png",
        "/b/",
        "https://a.b/c",
    ],
)
def test_links_that_lead_somewhere(link):
    page = f'<h2 id="here"></h2><a href="{link}">'
    assert faults("x y.png", a=page, b='<a name="there">') == []


@pytest.mark.parametrize(
    ("link", "what"),
    [
        ("../c/", "nothing at ../c/"),
        ("b/", "nothing at b/"),
        ("../b/#nowhere", "no anchor at ../b/#nowhere"),
        ("#nowhere", "no anchor at #nowhere"),
        ("../picture.png", "nothing at ../picture.png"),
    ],
)
@pytest.mark.parametrize("attribute", ["href", "src"])
def test_links_that_lead_nowhere(link, what, attribute):
    (sentence,) = faults(a=f'\n<a {attribute}="{link}">', b="")
    assert sentence == f"a/index.html, line 2: {what}"


def test_a_formula_that_nobody_translated_is_noticed():
    assert faults(a=r"<code>\(</code><script>'\['</script><p>(x)</p>") == []
    assert faults(a="<nav>\n\\(W_p\\)</nav>") == ["a/index.html, line 1: a formula as it was typed"]


def test_a_name_without_an_entry_is_noticed():
    anchors = "".join(f'<h2 id="{name}"></h2>' for name, _ in checks.public_names())
    whole = {"api/all/index.html": checks.Page(anchors)}
    assert checks.missing_entries(whole) == []
    elsewhere = {"guide/index.html": checks.Page(anchors)}
    assert len(checks.missing_entries(elsewhere)) > 90
    less = checks.Page(anchors.replace('id="otdist.io.align"', ""))
    (sentence,) = checks.missing_entries({"api/all/index.html": less})
    assert sentence.startswith("otdist.io.align")


def test_a_site_that_is_not_whole_stops_the_build(tmp_path):
    (tmp_path / "index.html").write_text('<a href="gone/">')
    with pytest.raises(ValueError, match="nothing at gone/") as error:
        checks.on_post_build({"site_dir": str(tmp_path)})
    assert "otdist.wasserstein is public and not in the reference" in str(error.value)


def test_no_public_room_is_forgotten():
    internal = {"otdist.outofcore", "otdist.neural"}  # for otdist; a second name of a room
    rooms = {f"otdist.{room.name}" for room in pkgutil.iter_modules(otdist.__path__)}
    public = {room for room in rooms if hasattr(importlib.import_module(room), "__all__")}
    assert public - internal <= set(checks.ROOMS)


NAMES = {id(thing): (name, thing) for name, thing in checks.public_names()}


@pytest.mark.parametrize(("name", "thing"), NAMES.values(), ids=[n for n, _ in NAMES.values()])
def test_every_public_name_has_an_example(name, thing):
    tests = doctest.DocTestFinder().find(thing, name, globs={})
    assert any(test.examples for test in tests), f"{name} has no example that runs"


def test_docstrings_become_markdown():
    pytest.importorskip("griffe")
    assert doctest.testmod(load("_griffe")).failed == 0


def test_formulas_become_mathml():
    pytest.importorskip("latex2mathml")
    mathematics = load("_mathematics")
    assert doctest.testmod(mathematics).failed == 0
    with pytest.raises(ValueError, match="no translation for"):
        mathematics.on_page_content('<span class="arithmatex">\\(\\nonsense\\)</span>')


def slug(heading):
    """The anchor that a heading gets where README is shown."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_the_pages_outside_the_site(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(
        r'(?:src|href)="([^"]+)"', text
    ):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = ROOT / (path or page)
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), target
