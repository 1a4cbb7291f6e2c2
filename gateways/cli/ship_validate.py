"""`nsqgw ship validate`: whether a config file can be used, and all it names be reached."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gateways.cli.config_errors import reported
from gateways.cli.main import EXIT_FAILED
from gateways.ship.config_file import load_config
from gateways.ship.probe import probe


@click.command("validate", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--no-connect", is_flag=True, help="Look at the file alone.")
def command(file: Path, no_connect: bool) -> int:
    """Check FILE, whether the nsqds and nsqlookupds it names can be reached, and its sinks opened.

    Sinks are opened as at a start, so a file of one is made when it is missing. No event is sent, so most
    services over HTTP are not asked. Exit code 78: the file cannot be used; 1: something cannot be reached.
    """
    with reported():
        config = load_config(file)
    names = ", ".join(pipeline.name for pipeline in config.pipelines)
    click.echo(f"{file}: pipelines {names}")
    if no_connect:
        return 0
    findings = asyncio.run(probe(config))
    for finding in findings:
        well = "opened" if finding.what.startswith("sink ") else "reached"
        click.echo(f"{finding.what}: {finding.trouble or well}")
    return EXIT_FAILED if any(finding.trouble for finding in findings) else 0
