"""The `otdist` command: one file per subcommand, and nothing heavy imported until one runs."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from otdist import __version__
from otdist.cli._common import as_function
from otdist.cli._help import Commands, Subcommand
from otdist.cli.distance import Distance
from otdist.cli.drift import Drift
from otdist.cli.evaluate import Evaluate
from otdist.cli.info import Info
from otdist.cli.test import Test
from otdist.cli.train import Train

app = typer.Typer(
    name="otdist",
    cls=Commands,
    help="Optimal-transport distances between samples, each with a certified bracket.",
    epilog="Exit codes: 0 fine, 1 a gate failed, 2 usage, 3 bad data, 4 not converged.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"otdist {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command("distance", cls=Subcommand)(as_function(Distance))
app.command("evaluate", cls=Subcommand)(as_function(Evaluate))
app.command("test", cls=Subcommand)(as_function(Test))
app.command("drift", cls=Subcommand)(as_function(Drift))
app.command("info", cls=Subcommand)(as_function(Info))
app.command("train", cls=Subcommand)(as_function(Train))


def main() -> None:
    """Entry point of the console command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show becomes "?"
            stream.reconfigure(errors="replace")
    app()
