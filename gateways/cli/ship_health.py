"""`nsqgw ship health`: whether a running gateway is well, by its admin port: for containers and scripts."""

from __future__ import annotations

import click
import requests

from gateways.cli.main import EXIT_FAILED
from gateways.cli.options import DURATION
from gateways.cli.ship_top import ADMIN_ADDRESS
from nsqgw.errors import NotConnected


@click.command("health", context_settings={"help_option_names": ["-h", "--help"]})
@ADMIN_ADDRESS
@click.option(
    "--ready", is_flag=True, help="Whether it does its work, too: connected, and its sinks take events."
)
@click.option("--timeout", type=DURATION, default="3s", show_default=True, help="For the answer.")
def command(admin_address: str, ready: bool, timeout: float) -> int:
    """Ask a gateway whether its loop turns: exit code 0 when it does, 1 and the reason when it does not."""
    url = f"http://{admin_address}/{'ready' if ready else 'ping'}"
    try:
        answer = requests.get(url, timeout=timeout)
    except requests.RequestException as error:
        raise NotConnected(
            f"{url} does not answer ({type(error).__name__}): is the gateway running?"
        ) from error
    click.echo(answer.text.strip())
    return 0 if answer.ok else EXIT_FAILED
