"""`nsqgw ship config`: what a config file can hold, for editors and for people."""

from __future__ import annotations

import json

import click

from gateways.cli.subcommands import Commands
from gateways.ship.config_example import example, kinds
from gateways.ship.config_schema import config_schema

_CONTEXT = {"help_option_names": ["-h", "--help"]}


@click.group("config", cls=Commands, context_settings=_CONTEXT)
def command() -> None:
    """What a config file can hold."""


@command.command("schema", context_settings=_CONTEXT)
def schema_command() -> None:
    """Print the JSON Schema of config files."""
    click.echo(json.dumps(config_schema(), indent=2))


@command.command(
    "example",
    context_settings=_CONTEXT,
    help=f"Print a config file for a sink of this TYPE, with all its settings: {', '.join(sorted(kinds()))}.",
)
@click.argument("sink", type=click.Choice(sorted(kinds())), metavar="TYPE")
def example_command(sink: str) -> None:
    click.echo(example(sink), nl=False)
