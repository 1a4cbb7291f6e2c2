"""The table of subcommands; each is imported only when it is used, so that no command pays for the others."""

from __future__ import annotations

import importlib
from difflib import get_close_matches

import click

from nsqgw.version import __version__

SUBCOMMANDS = {
    "demo": ("gateways.cli.demo", "Everything on this machine, with a page to look at."),
    "nsqd": ("gateways.cli.nsqd", "The message broker, with the flags of the original."),
    "nsqlookupd": ("gateways.cli.nsqlookupd", "The directory of topics, with the flags of the original."),
    "nsq_to_file": ("gateways.cli.nsq_to_file", "Topics to files, with the flags of the original."),
    "nsq_to_http": (
        "gateways.cli.nsq_to_http",
        "A request for each message, with the flags of the original.",
    ),
    "push": ("gateways.cli.push", "Topics to browsers, by WebSocket and server-sent events."),
    "ship": ("gateways.cli.ship", "Topics to files and log services, in batches."),
    "topology": ("gateways.cli.topology", "What changes in a cluster of nsqlookupds, as events."),
}
"""Name -> the module that has it as `command`, and its line in the help."""


class LazyGroup(click.Group):
    """A group whose commands come from SUBCOMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        command: click.Command = importlib.import_module(SUBCOMMANDS[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = get_close_matches(args[0], SUBCOMMANDS, n=1)
        if near and args[0] not in SUBCOMMANDS:
            ctx.fail(f"No such command {args[0]!r}: did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in SUBCOMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="nsqgw %(version)s")
def nsqgw() -> None:
    """NSQ for Python: broker, directory, and gateways to log services and browsers."""
