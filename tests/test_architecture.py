"""The plan of the house: rooms import one way, without cycles, and POT stays behind its door."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "otdist"

ROOMS = [
    "core",
    "line",
    "entropic",
    "exact",
    "sliced",
    "moments",
    "streaming",
    "outofcore",
    "masses",
    "transport_map",
    "distances",
    "divergences",
    "all_pairs",
    "losses",
    "problems",
    "drawing",
    "inference",
    "critics",
    "neural",
    "wgan",
    "io",
    "evaluation",
    "cli",
]
"""Lowest first: a room imports from rooms listed before it, and from within itself."""


def modules() -> dict[str, Path]:
    """Dotted name → file, without `otdist.` and without the public `__init__`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name and parts[-1] != "__main__":
            found[name] = path
    return found


MODULES = modules()


class WithoutTyping(ast.NodeTransformer):
    """Drops what is imported for a type checker alone, which cannot make a cycle."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        typing = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if typing else self.generic_visit(node)


def imported(path: Path, typing: bool = True) -> set[str]:
    """Dotted names that a file imports anywhere, also inside functions."""
    names = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree if typing else WithoutTyping().visit(tree)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {node.module or ""} - {"otdist"}  # `from otdist import cost` is of the room
    return names


def inner(path: Path, typing: bool = True) -> set[str]:
    """Modules of otdist that a file imports, the most specific name of each."""
    names = imported(path, typing)
    own = {name.removeprefix("otdist.") for name in names if name.startswith("otdist.")}
    known = {name for name in own if name in MODULES}
    return {n for n in known if not any(other.startswith(f"{n}.") for other in known)}


@pytest.mark.parametrize("name", MODULES)
def test_rooms_import_one_way(name):
    room = name.split(".")[0]
    assert room in ROOMS, f"otdist/{room} has no place in the list of rooms"
    below = set(ROOMS[: ROOMS.index(room) + 1])
    upward = {other for other in inner(MODULES[name]) if other.split(".")[0] not in below}
    assert not upward, f"otdist.{name} imports from rooms above it: {sorted(upward)}"


def test_no_cycles():
    graph = {name: inner(path, typing=False) - {name} for name, path in MODULES.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError with the cycle


@pytest.mark.parametrize("name", MODULES)
def test_one_file_imports_pot(name):
    uses = {other.split(".")[0] for other in imported(MODULES[name])}
    assert name == "exact.network_simplex" or "ot" not in uses


@pytest.mark.parametrize("name", MODULES)
def test_only_the_command_line_imports_the_public_package(name):
    """Elsewhere a public name would hide which room it comes from."""
    own = {other for other in imported(MODULES[name]) if other.split(".")[0] == "otdist"}
    public = {other for other in own if other == "otdist" or other.split(".")[1] not in ROOMS}
    assert name.split(".")[0] == "cli" or public <= {"otdist.__version__"}


def test_the_scanner_sees_imports(tmp_path):
    path = tmp_path / "sample.py"
    path.write_text("def f():\n    from otdist.exact.exact import Exact\n    import ot.lp\n")
    if "exact.exact" in MODULES:
        assert inner(path) == {"exact.exact"}
    assert "ot.lp" in imported(path)
