"""Experiments: measurements that are kept row by row, and the tables that pages show of them.

An experiment consists of parts; a part names its cases, each with the function that measures it.
`python -m benchmarks EXPERIMENT PART…` runs them; `table` writes the tables into the page.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from benchmarks import page, records
from benchmarks.records import Row

ROOT = Path(__file__).parents[1]
Cases = Iterable[tuple[Row, Callable[[], Row]]]
"""What tells a row from others, and what measures the rest of it."""


@dataclass(frozen=True)
class Experiment:
    """One subject, measured in parts.

    Attributes:
        name: Of the command, and of its rows in `benchmarks/results.json`.
        doc: What the command says of itself.
        settings: Dataclass of the options that the command has; its defaults are those of the page.
        parts: By name, settings → cases.
        key: Columns that tell one row from another.
        page: Of the docs, which shows the tables.
        tables: By the marks on the page, rows → Markdown.
        pictures: Settings → pictures written into the docs, where there are some.
        repeats: Whether cases are measured again whose rows are known.
        threads: Settings → threads of the measurements.
    """

    name: str
    doc: str
    settings: type
    parts: Mapping[str, Callable[[Any], Cases]]
    key: Sequence[str]
    page: Path
    tables: Mapping[str, Callable[[Sequence[Row]], str]]
    pictures: Callable[[Any], None] | None = None
    repeats: bool = True
    threads: Callable[[Any], int] = field(default=lambda settings: os.cpu_count() or 1)

    def rows(self, path: Path = records.PUBLISHED) -> list[Row]:
        """The rows that a file holds of it."""
        return records.read(path, self.name)

    @property
    def words(self) -> list[str]:
        """What the command takes: the parts, the pictures, the tables."""
        return [*self.parts, *(["pictures"] if self.pictures else []), "table"]

    def run(self, words: Sequence[str], settings: Any, out: Path) -> None:
        """Measure parts, draw, write tables, in the order of the words; rows are kept at once."""
        for word in words:
            if word == "table":
                self.into(self.page, self.rows(out))
            elif word == "pictures" and self.pictures:
                self.pictures(settings)
            else:
                self.measure(word, settings, out)

    def measure(self, part: str, settings: Any, out: Path) -> None:
        """Measure the cases of one part."""
        done = set() if self.repeats else {self.identity(row) for row in self.rows(out)}
        for known, measured in self.parts[part](settings):
            if self.identity(known) not in done:
                row = {**known, **measured()}
                records.keep(row, out, self.name, self.key, self.threads(settings))
                print({name: v for name, v in row.items() if not isinstance(v, list)}, flush=True)

    def identity(self, row: Row) -> str:
        """What tells the row from others, as text."""
        return records.identity(row, self.key)

    def into(self, path: Path, rows: Sequence[Row]) -> None:
        """Put every table between its marks on a page."""
        for mark, render in self.tables.items():
            page.put(path, mark, render(rows))

    def command(self) -> Callable[..., None]:
        """The command line: words, the file of rows, and an option for every setting."""

        def command(words: list[str], out: Path, **options: Any) -> None:
            unknown = sorted(set(words) - set(self.words))
            if unknown:
                text = f"must be among {', '.join(self.words)}: got {', '.join(unknown)}"
                raise typer.BadParameter(text, param_hint="WORDS")
            try:
                settings = self.settings(**options)
            except ValueError as error:
                raise typer.BadParameter(str(error)) from None
            self.run(words, settings, out)

        hints = get_type_hints(self.settings, include_extras=True)
        words = Annotated[list[str], typer.Argument(help=f"Among {', '.join(self.words)}.")]
        out = Annotated[Path, typer.Option(help="File of the rows.")]
        options = [("words", words, list(self.parts)), ("out", out, records.PUBLISHED)]
        options += [(f.name, hints[f.name], _default(f)) for f in fields(self.settings)]
        command.__doc__ = self.doc
        command.__annotations__ = {name: kind for name, kind, _ in options}
        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=start, annotation=kind)
            for name, kind, start in options
        ]
        command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
        return command


def _default(option: Any) -> Any:
    made = option.default_factory
    return made() if callable(made) else option.default
