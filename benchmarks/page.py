"""What commands write into pages: tables, between <!-- NAME: start --> and its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a Markdown table.

    >>> table(["n", "seconds"], [[10, "0.1"]])
    ['| n | seconds |', '| --- | --- |', '| 10 | 0.1 |']
    """
    lines = [titles, ["---"] * len(titles), *rows]
    return ["| " + " | ".join(str(c).replace("|", "/") for c in line) + " |" for line in lines]


def has(page: Path, name: str) -> bool:
    """Whether the page has a place of that name."""
    return _marks(name)[0] in page.read_text(encoding="utf-8")


def get(page: Path, name: str) -> str:
    """What stands between the marks.

    Raises:
        ValueError: the page does not have both marks, once and in order.
    """
    return _split(page, name)[1].strip()


def put(page: Path, name: str, text: str) -> None:
    """Write the text between the marks, in place of what is there.

    Raises:
        ValueError: the page does not have both marks, once and in order.
    """
    (before, _, after), (start, end) = _split(page, name), _marks(name)
    page.write_text(f"{before}{start}\n\n{text.strip()}\n\n{end}{after}", encoding="utf-8")


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: start -->", f"<!-- {name}: end -->"


def _split(page: Path, name: str) -> tuple[str, str, str]:
    text, (start, end) = page.read_text(encoding="utf-8"), _marks(name)
    before, found, rest = text.partition(start)
    inside, closed, after = rest.partition(end)
    if not (found and closed) or start in rest or end in before + after:
        raise ValueError(f"{page} must have {start} and {end} once, in this order")
    return before, inside, after
