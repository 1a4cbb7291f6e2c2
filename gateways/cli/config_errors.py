"""What commands say of a config file: its problems, a line each, exit code 78; and what was reached of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import click

from gateways.service.config_file import EXIT_CONFIG
from gateways.service.probe import Finding
from gateways.service.problems import BadConfigFile
from nsqgw.service.lifecycle import EXIT_FAILED, EXIT_OK


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Print the problems on stderr and end with EXIT_CONFIG."""
    try:
        yield
    except BadConfigFile as error:
        for line in error.lines:
            click.echo(line, err=True)
        raise click.exceptions.Exit(EXIT_CONFIG) from None


def told(findings: Iterable[Finding]) -> int:
    """Print what came of each probe, and return the exit code: failed when one of them did."""
    code = EXIT_OK
    for finding in findings:
        click.echo(f"{finding.what}: {finding.trouble or finding.well}")
        code = EXIT_FAILED if finding.trouble else code
    return code
