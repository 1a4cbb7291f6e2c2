"""`nsqgw push config`: what a config file can hold, for editors."""

from __future__ import annotations

import json

import click

from gateways.cli.subcommands import Commands
from gateways.push.config_schema import config_schema

_CONTEXT = {"help_option_names": ["-h", "--help"]}


@click.group("config", cls=Commands, context_settings=_CONTEXT)
def command() -> None:
    """What a config file can hold."""


@command.command("schema", context_settings=_CONTEXT)
def schema_command() -> None:
    """Print the JSON Schema of config files."""
    click.echo(json.dumps(config_schema(), indent=2))
