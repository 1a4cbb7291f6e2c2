"""`nsqgw ship validate`: whether a config file can be used, and all it names be reached."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gateways.cli.config_errors import reported, told
from gateways.service.probe import Finding
from gateways.ship.config import ShipConfig
from gateways.ship.config_file import load_config
from gateways.ship.probe import probe
from gateways.ship.trial_event import send_test_events
from nsqgw.service import logs


@click.command("validate", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True)
@click.option("--no-connect", "--no-environment", is_flag=True, help="Look at the file alone.")
@click.option("--skip-healthchecks", is_flag=True, help="Open sinks as at a start, and ask them nothing.")
@click.option("--send-test-event", is_flag=True, help="Send one marked event to each sink, too.")
def command(files: tuple[Path, ...], no_connect: bool, skip_healthchecks: bool, send_test_event: bool) -> int:
    """Check FILES, or folders of such, and whether the nsqds, nsqlookupds and sinks they name can be reached.

    Sinks are opened as at a start, so a file of one is made when it is missing. Services over HTTP are
    connected to, with TLS, and asked for their health where they have a page for it. No event is sent unless
    told so. Exit code 78: the file cannot be used; 1: something cannot be reached.
    """
    if no_connect and (skip_healthchecks or send_test_event):
        raise click.UsageError(
            "--no-connect asks nobody: leave out --skip-healthchecks and --send-test-event"
        )
    with reported():
        config = load_config(files)
    logs.configure("error", "logfmt")  # what is not reached is told below
    names = ", ".join(pipeline.name for pipeline in config.pipelines)
    click.echo(f"{' '.join(map(str, files))}: pipelines {names}")
    if no_connect:
        return 0
    return told(
        asyncio.run(_findings(config, healthchecks=not skip_healthchecks, test_events=send_test_event))
    )


async def _findings(config: ShipConfig, *, healthchecks: bool, test_events: bool) -> list[Finding]:
    findings = await probe(config, healthchecks=healthchecks)
    return [*findings, *await send_test_events(config)] if test_events else findings
