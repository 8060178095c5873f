"""What every command shares: its options as a dataclass, exit codes, errors, and the record.

A command is a frozen dataclass: its fields are the options, its method `run` does the work.
"""

from __future__ import annotations

import enum
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, get_type_hints

import typer

from otdist.core.record import to_json as to_json
from otdist.core.record import versions
from otdist.io import Samples, Table, align, read_samples, read_weights

SCHEMA_VERSION = 1
PICTURES = (".png", ".svg", ".pdf", ".jpg")


class Command(Protocol):
    """A dataclass whose fields are options."""

    def run(self) -> None:
        """Do the work."""
        ...


def as_function(command: Callable[..., Command]) -> Callable[..., None]:
    """The function that typer wants, with the fields of the dataclass as its parameters."""

    def call(**options: Any) -> None:
        command(**options).run()

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


def read_pair(
    first: str, second: str, weights_a: str | None, weights_b: str | None
) -> tuple[Samples, Samples, Any, Any]:
    """Both samples, aligned, and their weights or None."""
    x, y = align(read_samples(first), read_samples(second))
    a = None if weights_a is None else read_weights(weights_a, x.n)
    b = None if weights_b is None else read_weights(weights_b, y.n)
    return x, y, a, b


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
    if not sys.stdout.isatty():
        width = max(len(name) for name, _ in rows)
        typer.echo(title)
        for name, value in rows:
            typer.echo(f"{name:<{width}}  {value}")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    for name, value in rows:
        table.add_row(name, value)
    Console().print(table)


def say(text: str) -> None:
    """Print on stdout."""
    typer.echo(text)


def say_notes(notes: Sequence[str], quiet: bool) -> None:
    """What was done to the data, on stderr."""
    if not quiet:
        for note in notes:
            typer.echo(f"note: {note}", err=True)
