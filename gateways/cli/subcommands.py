"""A command that runs by its flags, or by a first word without a dash that names a subcommand."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

import click

from gateways.cli.go_flags import GoCommand


class WithSubcommands(GoCommand):
    """A subcommand's module is imported only when its name is the first word."""

    subcommands: ClassVar[Mapping[str, tuple[str, str]]]
    """Name -> the module that has it as `command`, and its line in the help."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        command = self.get_command(parent, args[0]) if args else None
        if command is not None:
            return command.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def get_command(self, _ctx: click.Context | None, name: str) -> click.Command | None:
        """The subcommand of this name; None when there is none."""
        if name not in self.subcommands:
            return None
        command: click.Command = importlib.import_module(self.subcommands[name][0]).command
        return command

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.subcommands.items()])
