"""The finished site is checked when it is built: links, anchors, and the reference.

A hook of MkDocs. MkDocs itself sees only links that are written in Markdown pages; here every link
of every page is followed, those in docstrings included, without a network. And every public name,
of the package and of its public rooms, must have its entry in the reference.
"""

from __future__ import annotations

import importlib
import re
import types
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

ROOMS = (
    "otdist",
    "otdist.critics",
    "otdist.critics.layers",
    "otdist.drawing",
    "otdist.evaluation",
    "otdist.evaluation.report",
    "otdist.inference",
    "otdist.io",
    "otdist.keras",
    "otdist.losses",
    "otdist.metrics",
    "otdist.problems",
    "otdist.streaming",
    "otdist.wgan",
)
"""Modules whose `__all__` is public."""
CODE = ("code", "script", "style")


def public_names() -> Iterator[tuple[str, Any]]:
    """Every public function and class with its name, such as "otdist.io.read_samples"."""
    for room in ROOMS:
        if room == "otdist.keras" and find_spec("keras") is None:
            continue  # an extra: its names cannot be made without it
        module = importlib.import_module(room)
        for name in module.__all__:
            thing = getattr(module, name)
            if not isinstance(thing, types.ModuleType):
                yield f"{room}.{name}", thing


class Page(HTMLParser):
    """Where a page can be pointed to, and where it points.

    Attributes:
        anchors: The `id` of every element, and the `name` of every `a`.
        targets: What `href` and `src` hold, with the line.
        raw: Lines of text, outside code, with a formula that nobody translated.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: list[tuple[int, str]] = []
        self.raw: list[int] = []
        self._code = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect from one element."""
        self._code += tag in CODE
        for key, value in attrs:
            if value and (key == "id" or (key, tag) == ("name", "a")):
                self.anchors.add(value)
            elif value and key in ("href", "src"):
                self.targets.append((self.getpos()[0], value))

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        self._code -= tag in CODE

    def handle_data(self, data: str) -> None:
        """Look at the text between elements."""
        if not self._code and re.search(r"\\[(\[]", data):
            self.raw.append(self.getpos()[0])


def faults(pages: Mapping[str, Page], files: set[str]) -> list[str]:
    """Sentences about links within the site that lead nowhere, and formulas that are not drawn.

    Args:
        pages: Path within the site → page.
        files: Paths of everything in the site.
    """
    found = []
    for path, page in pages.items():
        found += [f"{path}, line {line}: a formula as it was typed" for line in page.raw]
        for line, target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            to = _resolved(path, unquote(parts.path))
            if to not in files:
                found.append(f"{path}, line {line}: nothing at {target}")
            elif (
                parts.fragment and to in pages and unquote(parts.fragment) not in pages[to].anchors
            ):
                found.append(f"{path}, line {line}: no anchor at {target}")
    return found


def _resolved(page: str, path: str) -> str:
    """The file that a link on a page means; an address that ends in a slash is its index."""
    if not path:
        return page
    base = [] if path.startswith("/") else page.split("/")[:-1]
    for part in path.split("/"):
        if part == "..":
            base = base[:-1]
        elif part not in ("", "."):
            base = [*base, part]
    is_folder = path.endswith(("/", "/.", "/..")) or path in (".", "..")
    return "/".join([*base, "index.html"] if is_folder else base)


def missing_entries(pages: Mapping[str, Page]) -> list[str]:
    """Sentences about public names that no page of the reference documents, under any name."""
    anchors = {a for path, page in pages.items() if path.startswith("api/") for a in page.anchors}
    names: dict[int, set[str]] = {}
    for name, thing in public_names():
        canonical = f"{thing.__module__}.{thing.__qualname__}"
        names.setdefault(id(thing), {canonical}).add(name)
    return [
        f"{min(known, key=len)} is public and not in the reference"
        for known in names.values()
        if not known & anchors
    ]


def on_post_build(config: Any) -> None:
    """Stop the build where the site is not whole.

    Raises:
        ValueError: a link, an anchor or an entry of the reference is missing; all are listed.
    """
    site = Path(config["site_dir"])
    files = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    pages = {
        name: Page((site / name).read_text(encoding="utf-8"))
        for name in sorted(files)
        if name.endswith(".html")
    }
    if found := faults(pages, files) + missing_entries(pages):
        raise ValueError("the site is not whole:\n" + "\n".join(found))
