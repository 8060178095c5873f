"""What is released: one version everywhere, bounds that are tested, and a wheel without extras."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.version import Version

import otdist

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = PROJECT["version"]


def requirements(text):
    """Name → version of lines such as "numpy==2.0.0", those of the oldest Python."""
    lines = [line for line in text.splitlines() if "==" in line and "python_version >=" not in line]
    return dict(re.match(r"([\w-]+)==([\w.]+)", line).groups() for line in lines)


def test_the_version_is_one():
    assert otdist.__version__ == VERSION
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.M).group(1) == VERSION
    date = re.search(r"^date-released: (.*)$", citation, re.M).group(1)
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {VERSION} - {date}\n" in changelog


def test_the_oldest_versions_allowed_are_those_of_the_constraints():
    lowest = requirements((ROOT / "constraints-lowest.txt").read_text(encoding="utf-8"))
    extras = PROJECT["optional-dependencies"]
    allowed = [*PROJECT["dependencies"]]
    allowed += [line for extra in ("plot", "tables", "images") for line in extras[extra]]
    assert {name: Version(found) for name, found in lowest.items()} == {
        name: Version(found) for name, found in (line.split(">=") for line in allowed)
    }


def test_the_newest_versions_are_pinned():
    pins = requirements((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    names = {re.split(r"[>\[;]", line)[0] for line in PROJECT["dependencies"]}
    assert names <= pins.keys()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The names in the wheel and in the sdist, and the wheel's metadata."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-W", "error", "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        metadata = file.read(f"otdist-{VERSION}.dist-info/METADATA").decode()
    with tarfile.open(sdist) as file:
        source = {name.partition("/")[2] for name in file.getnames()}
    return names, source, metadata


def tracked(*folders):
    return {
        str(file.relative_to(ROOT))
        for folder in folders
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc"
    }


def test_the_wheel_has_the_package_and_nothing_else(built):
    names, _, metadata = built
    package = {name for name in names if not name.startswith(f"otdist-{VERSION}.dist-info/")}
    assert package == tracked("otdist")
    assert "otdist/py.typed" in package
    assert f"otdist-{VERSION}.dist-info/licenses/LICENSE" in names
    assert metadata.count("Requires-Dist:") > len(PROJECT["dependencies"])
    assert "Requires-Python: >=3.11" in metadata


def test_the_sdist_can_be_tested_and_documented(built):
    _, source, _ = built
    assert tracked("otdist", "tests", "benchmarks", "examples", "docs") <= source
    assert {"constraints.txt", "constraints-lowest.txt", "CITATION.cff", "Makefile"} <= source
    assert not [name for name in source if name.startswith(("out/", "site/", ".venv"))]
