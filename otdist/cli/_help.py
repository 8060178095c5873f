"""Help of the command: options in sections, with names that are never cut, at any width.

Typer's own tables have five columns; at 60 characters they cut the names of options.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

_READING = (
    "columns", "exclude", "sep", "decimal", "header", "encoding", "missing", "categories", "format",
    "recursive", "resize", "mode",
)  # fmt: skip
_WRITING = ("json", "output", "html", "plot", "quiet", "help")
_SECTIONS = ("Arguments", "Options", "Gates (exit code 1)", "Reading files", "Output")


def _section(parameter: Any) -> str:
    """Which section of the help an argument or option stands in."""
    if parameter.param_type_name == "argument":
        return "Arguments"
    if parameter.name in _READING:
        return "Reading files"
    if parameter.name in _WRITING:
        return "Output"
    gate = parameter.name == "alpha" or parameter.name.startswith("fail_")
    return "Gates (exit code 1)" if gate else "Options"


class Subcommand(TyperCommand):
    """A command whose help has sections."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections that have an option."""
        rows: dict[str, list[tuple[str, str]]] = {name: [] for name in _SECTIONS}
        for parameter in self.get_params(ctx):
            if (row := parameter.get_help_record(ctx)) is not None:
                rows[_section(parameter)].append(row)
        for name, found in rows.items():
            if found:
                with formatter.section(name):
                    formatter.write_dl(found)


class Commands(TyperGroup):
    """The command itself, whose help has the whole first sentence of each subcommand."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the names of the subcommands, and what they do."""
        found = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(200)) for name, command in found])
