"""Commands inside commands: a first word without a dash names one, and a wrong one is told the nearest."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar

import click

from gateways.cli.go_flags import GoCommand


class Commands(click.Group):
    """A group that shows its commands in the order in which people use them, which is that of the source."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            ctx.fail(no_such_command(args[0], self.commands))
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:  # click's own answer is the whole help, which as an error would be one line
            ctx.fail(f"Missing command: there are {', '.join(self.commands)}")
        return super().parse_args(ctx, args)


class WithSubcommands(GoCommand):
    """Runs by its flags, too. A subcommand's module is imported only when its name is the first word."""

    subcommands: ClassVar[Mapping[str, tuple[str, str]]]
    """Name -> the module that has it as `command`, and its line in the help."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        command = self.get_command(parent, args[0]) if args else None
        if command is not None:
            return command.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-"):
            ctx.fail(no_such_command(args[0], self.subcommands))
        return super().parse_args(ctx, args)

    def get_command(self, _ctx: click.Context | None, name: str) -> click.Command | None:
        """The subcommand of this name; None when there is none."""
        if name not in self.subcommands:
            return None
        command: click.Command = importlib.import_module(self.subcommands[name][0]).command
        return command

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.subcommands.items()])


def no_such_command(given: str, known: Iterable[str]) -> str:
    """The text about a word that names no command."""
    known = list(known)
    near = get_close_matches(given, known, 1)
    return f"No such command {given!r}: " + (
        f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    )
