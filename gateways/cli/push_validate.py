"""`nsqgw push validate`: whether a config file can be used, and all it names be reached."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gateways.cli.config_errors import reported, told
from gateways.push.config_file import load_program
from gateways.push.probe import tries
from gateways.service.probe import find_all


@click.command("validate", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--no-connect", is_flag=True, help="Look at the file alone.")
def command(file: Path, no_connect: bool) -> int:
    """Check FILE, and whether what it names can be reached: nsqds,
    nsqlookupds, Redis, the backend for auth requests.

    Exit code 78: the file cannot be used; 1: something cannot be reached.
    """
    with reported():
        config = load_program(file).config
    click.echo(f"{file}: topics {', '.join(config.topics)}")
    if no_connect:
        return 0
    return told(asyncio.run(find_all(tries(config), config.connect_timeout)))
