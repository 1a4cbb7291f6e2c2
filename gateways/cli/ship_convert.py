"""`nsqgw ship convert`: a command line of nsq_to_http or nsq_to_file as a config file."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import click

from gateways.cli.group import SUBCOMMANDS
from gateways.ship.config_text import config_text

TOOLS = ("nsq_to_file", "nsq_to_http")


@click.command(
    "convert",
    context_settings={"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]},
)
@click.argument("tool", type=click.Choice(TOOLS), metavar="TOOL")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, tool: str, arguments: Sequence[str]) -> None:
    """Print the config file that a command line of TOOL, nsq_to_file or nsq_to_http, stands for."""
    module = importlib.import_module(SUBCOMMANDS[tool][0])
    flags = module.command.make_context(f"{ctx.command_path} {tool}", list(arguments)).params
    click.echo(config_text(module.configured(flags)), nl=False)
