"""What a command does about a config file that cannot be used: its problems, a line each, exit code 78."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click

from gateways.service.config_file import EXIT_CONFIG
from gateways.service.problems import BadConfigFile


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Print the problems on stderr and end with EXIT_CONFIG."""
    try:
        yield
    except BadConfigFile as error:
        for line in error.lines:
            click.echo(line, err=True)
        raise click.exceptions.Exit(EXIT_CONFIG) from None
