"""What every command shares: its options as a dataclass, exit codes, errors, and the record.

A command is a frozen dataclass: its fields are the options, its method `run` does the work. While
it runs, stdout belongs to what it says itself; whatever else prints, prints on stderr.
"""

from __future__ import annotations

import enum
import inspect
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol, TextIO, TypeVar, get_type_hints

import typer
from typer import Option

from otdist.cli import _stdin
from otdist.core.progress import in_command
from otdist.core.quiet import stdout_to_stderr
from otdist.core.record import to_json, versions
from otdist.io import Reading, Samples, Table, read_weights
from otdist.io.errors import UnknownColumnsError
from otdist.io.kinds import is_text
from otdist.io.reading import read_each

SCHEMA_VERSION = 1
PICTURES = (".png", ".svg", ".pdf", ".jpg")
Read = TypeVar("Read")
_stdout: ContextVar[TextIO | None] = ContextVar("stdout", default=None)
"""What the running command says goes there."""


class Command(Protocol):
    """A dataclass whose fields are options."""

    def run(self) -> None:
        """Do the work."""
        ...


def as_function(command: Callable[..., Command]) -> Callable[..., None]:
    """The function that typer wants, with the fields of the dataclass as its parameters."""

    def call(**options: Any) -> None:
        with stdout_to_stderr() as stream:
            before = _stdout.set(stream)
            try:
                with in_command(quiet=options.get("quiet", False)):
                    command(**options).run()
            finally:
                _stdout.reset(before)

    hints = get_type_hints(command, include_extras=True)
    own = command.__annotations__  # inherited options stand last in the help
    options = inspect.signature(command).parameters.values()
    ordered = sorted(options, key=lambda option: option.name not in own)
    call.__doc__ = command.__doc__
    call.__annotations__ = hints
    vars(call)["__signature__"] = inspect.Signature(
        [
            option.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[option.name])
            for option in ordered
        ]
    )
    return call


class ExitCode(enum.IntEnum):
    """The exit codes of the command; part of its interface."""

    FINE = 0
    GATE_FAILED = 1
    USAGE = 2
    BAD_DATA = 3
    NOT_CONVERGED = 4
    INTERRUPTED = 130


def fail(message: object, code: ExitCode) -> typer.Exit:
    """Say on stderr what went wrong; raise what this returns."""
    typer.echo(f"otdist: {message}", err=True)
    return typer.Exit(code)


@contextmanager
def errors_without_traceback() -> Iterator[None]:
    """Errors about the data end the command with code 3, a missing extra with 2.

    Inside, the library's own ValueError is about the data: options have been checked before.
    Programming errors of other types keep their traceback.
    """
    from otdist.core.result import ConvergenceWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the message is shown instead
            yield
    except ImportError as error:
        raise fail(error, ExitCode.USAGE) from None
    except (ValueError, MemoryError) as error:
        raise fail(error, ExitCode.BAD_DATA) from None


def usage(option: str, message: str) -> typer.BadParameter:
    """A usage error that names the option; raise it."""
    return typer.BadParameter(message, param_hint=option)


def listed(text: str | None) -> list[str] | None:
    """Words with commas between."""
    return None if text is None else [word.strip() for word in text.split(",")]


def sizes(option: str, text: str) -> tuple[int, ...]:
    """Positive whole numbers from a list such as 3,32,32."""
    parts = text.split(",")
    if not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise usage(option, f"must be positive whole numbers with commas: got {text}")
    return tuple(int(part) for part in parts)


def check_target(option: str, path: Path | None, suffixes: Sequence[str] = ()) -> None:
    """Refuse a file that cannot be written before the work is done rather than after it."""
    if path is None:
        return
    if suffixes and path.suffix.lower() not in suffixes:
        raise usage(option, f"{path} must end in one of {', '.join(suffixes)}")
    if not path.resolve().parent.is_dir():
        raise usage(option, f"there is no directory {path.resolve().parent}")
    if path.is_dir():
        raise usage(option, f"{path} is a directory")


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Options of a command that reads samples and makes a record; a command inherits them."""

    columns: Annotated[str | None, Option(help="Columns to read, with commas; else all.")] = None
    exclude: Annotated[str | None, Option(help="Columns to leave out, with commas.")] = None
    sep: Annotated[str | None, Option(help="Text files: between cells; 'tab' is one.")] = None
    decimal: Annotated[str | None, Option(help="Text files: the decimal mark, . or ,")] = None
    header: Annotated[bool | None, Option(help="Text files: is the first line names?")] = None
    encoding: Annotated[str | None, Option(help="Text files: such as latin-1.")] = None
    format: Annotated[
        str | None, Option(help="Kind of file where its ending does not say it, as of stdin (-).")
    ] = None
    recursive: Annotated[
        bool, Option("--recursive", help="Folders of images: read the folders below as well.")
    ] = False
    resize: Annotated[
        tuple[int, int] | None, Option(metavar="H W", help="Images: bring them to this size.")
    ] = None
    mode: Annotated[str | None, Option(help="Images: convert their pixels to L or RGB.")] = None
    json: Annotated[bool, Option("--json", help="Print the record as JSON.")] = False
    output: Annotated[Path | None, Option(help="Write the JSON record to this file.")] = None
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress and no notes.")] = False

    def read(
        self, reader: Callable[..., Read], paths: Sequence[str], **stated: list[str] | None
    ) -> list[Read]:
        """What is in the files.

        Args:
            reader: `read_samples`, `read_columns` or another of `otdist.io`.
            paths: Of the files.
            **stated: Further options of the reader; None leaves them out.

        Raises:
            BadParameter: a wrong option, options of text without a text file, unknown columns.
        """
        separator = {"tab": "\t", "\\t": "\t"}.get(self.sep or "", self.sep)
        given = {"sep": separator, "decimal": self.decimal, "header": self.header}
        given["encoding"] = self.encoding
        text: dict[str, Any] = {name: v for name, v in given.items() if v is not None}
        stated |= {"columns": listed(self.columns)}
        exclude = listed(self.exclude) or []
        table: dict[str, Any] = {name: v for name, v in stated.items() if v is not None}
        images = {"recursive": self.recursive, "resize": self.resize, "mode": self.mode}
        table |= {name: value for name, value in images.items() if value}
        try:
            Reading(**text, **table, format=self.format)
        except ValueError as error:
            raise usage(f"--{str(error).split()[0]}", str(error)) from None
        # Of stdin, if it is read, and otherwise of all files.
        formats = [self.format if path == "-" or "-" not in paths else None for path in paths]
        texts = list(map(is_text, paths, formats))
        if text and not any(texts):
            raise usage(f"--{next(iter(text))}", "applies to text files only")
        if "-" in paths and self.format is None:
            raise usage("-", "is stdin, which has no ending: state its --format, such as csv")
        if list(paths).count("-") > 1:
            raise usage("-", "is stdin, which is read once: it cannot be two samples")
        try:
            with _stdin.as_file(paths) as files:
                readers = [
                    partial(
                        reader,
                        file,
                        **table,
                        **(text if has_cells else {}),
                        **({"format": kind} if kind else {}),
                    )
                    for file, has_cells, kind in zip(files, texts, formats, strict=True)
                ]
                found = read_each([lambda names, r=r: r(exclude=names) for r in readers], exclude)
            return list(map(_stdin.renamed, found, paths))
        except UnknownColumnsError as error:
            options = {"columns": table.get("columns"), "categories": table.get("categories")}
            whose = (name for name, given in options.items() if {*error.names} <= {*(given or ())})
            raise usage(f"--{next(whose, 'exclude')}", str(error)) from None

    def publish(self, content: dict[str, Any], show: Callable[[], None]) -> None:
        """Write the record; print it, or `show` the result to a person."""
        if self.output is not None:
            self.output.write_text(to_json(content) + "\n", encoding="utf-8")
        if self.json:
            say_record(content)
        else:
            show()


def read_weights_of(x: Samples, y: Samples, *paths: str | None) -> list[Any]:
    """The weights of both samples, or None where there is no file."""
    pairs = zip((x, y), paths, strict=True)
    return [None if path is None else read_weights(path, sample.n) for sample, path in pairs]


def record(command: str, inputs: Sequence[Samples | Table], **fields: Any) -> dict[str, Any]:
    """The JSON record of one run of a command.

    Keys and their meaning are an interface: within one `schema_version` they are added to, never
    changed.
    """
    notes = [note for s in inputs for note in s.notes] + fields.pop("notes", [])
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "inputs": [{"path": s.path, "n": s.n, "d": s.d, "dtype": s.dtype} for s in inputs],
        **fields,
        "notes": notes,
        "versions": versions(),
    }


def show(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Names and values on stdout: a table for a person, aligned text for a pipe."""
    if not stdout().isatty():
        width = max(len(name) for name, _ in rows)
        say("\n".join([title, *(f"{name:<{width}}  {value}" for name, value in rows)]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    for name, value in rows:
        table.add_row(name, value)
    Console(file=stdout()).print(table)


def stdout() -> TextIO:
    """The stream that the result goes to, and nothing else."""
    return _stdout.get() or sys.stdout


def say(text: str) -> None:
    """Print on stdout."""
    print(text, file=stdout(), flush=True)


def say_record(content: dict[str, Any]) -> None:
    """Print a record as JSON, with escapes where stdout is not Unicode."""
    text = to_json(content)
    try:
        text.encode(stdout().encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text), indent=2)
    say(text)


def say_notes(notes: Sequence[str], quiet: bool) -> None:
    """What was done to the data, on stderr."""
    if not quiet:
        for note in notes:
            typer.echo(f"note: {note}", err=True)
