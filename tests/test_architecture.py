"""The plan of the house: rooms import one way, without cycles, and POT stays behind its door."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "otdist"

ROOMS = [
    "core",
    "metrics",
    "line",
    "entropic",
    "exact",
    "sliced",
    "moments",
    "streaming",
    "outofcore",
    "masses",
    "transport_map",
    "evidence",
    "unbalanced",
    "solve",
    "discrepancy",
    "batches",
    "distances",
    "sliced_distances",
    "mixtures",
    "all_pairs",
    "losses",
    "problems",
    "drawing",
    "barycenters",
    "inference",
    "critics",
    "neural",
    "wgan",
    "keras",
    "io",
    "evaluation",
    "adapters",
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


LAZY = {"keras", "losses"}
"""Public rooms whose `__init__` imports names when they are first used, beside otdist itself."""


def spelled(path: Path) -> set[str]:
    """Modules of otdist that a file names in strings, as `import_module` takes them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        head = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else node
        if not (isinstance(head, ast.Constant) and isinstance(head.value, str)):
            continue
        text = head.value
        if text.startswith("otdist.") and (
            text.removeprefix("otdist.") in MODULES or (head is not node and text == "otdist.")
        ):
            found.add(text)
    return found


@pytest.mark.parametrize("name", sorted(set(MODULES) - LAZY))
def test_no_room_is_imported_by_its_name_as_a_string(name):
    """Such an import would be hidden from every other test here."""
    assert not spelled(MODULES[name])


def private(path: Path, room: str) -> set[str]:
    """Underscored names and modules of other rooms that a file uses."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules, found = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "otdist":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                modules[alias.asname or alias.name] = whole
                found.add(whole)
    for node in ast.walk(tree):
        place = node.value if isinstance(node, ast.Attribute) else None
        if isinstance(node, ast.Attribute) and isinstance(place, ast.Name) and place.id in modules:
            found.add(f"{modules[place.id]}.{node.attr}")
    hidden = (name for name in found if any(p.startswith("_") for p in name.split(".")[1:]))
    own = {"__version__", "__all__", "__name__", "__doc__"}
    return {n for n in hidden if n.split(".")[1] != room and n.split(".")[-1] not in own}


@pytest.mark.parametrize("name", MODULES)
def test_private_names_stay_in_their_room(name):
    assert not private(MODULES[name], name.split(".")[0])


def test_the_scanner_sees_imports(tmp_path):
    path = tmp_path / "sample.py"
    path.write_text("def f():\n    from otdist.exact.exact import Exact\n    import ot.lp\n")
    assert inner(path) == {"exact.exact"}
    assert "ot.lp" in imported(path)


@pytest.mark.parametrize(
    "call",
    [
        'import_module("otdist.cli.test")',
        'importlib.import_module(name="otdist.cli.test")',
        '__import__("otdist.cli.test")',
        'import_module(f"otdist.{room}")',
        'WHERE = "otdist.cli.test"\nimport_module(WHERE)',
    ],
)
def test_the_scanner_sees_rooms_in_strings(tmp_path, call):
    path = tmp_path / "sample.py"
    path.write_text(f"{call}\n")
    assert spelled(path)


def test_the_scanner_sees_private_names(tmp_path):
    path = tmp_path / "sample.py"
    path.write_text(
        "from otdist.cli import _common\n"
        "from otdist.exact.exact import Exact, _hidden\n"
        "from otdist.exact import exact\n"
        "exact._other()\n"
    )
    assert private(path, "cli") == {"otdist.exact.exact._hidden", "otdist.exact.exact._other"}
    assert "otdist.cli._common" in private(path, "exact")
