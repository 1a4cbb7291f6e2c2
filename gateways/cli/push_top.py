"""`nsqgw push top`: what a running gateway does, in the terminal, from its admin port."""

from __future__ import annotations

import time
from typing import Any

import click
import requests

from gateways.cli.admin_answer import no_answer
from gateways.cli.options import ADDRESS, DURATION
from gateways.cli.push_table import summary, table
from gateways.push.settings import ServiceSettings

_TIMEOUT = 5.0
_HOME_AND_CLEAR = "\x1b[H\x1b[J"


ADMIN_ADDRESS = click.option(
    "--admin-address",
    type=ADDRESS,
    default=ServiceSettings.model_fields["admin_address"].default,
    show_default=True,
    help="The admin port of the gateway.",
)


@click.command("top", context_settings={"help_option_names": ["-h", "--help"]})
@ADMIN_ADDRESS
@click.option("--interval", type=DURATION, default="1s", show_default=True, help="Between two looks.")
@click.option("--channels", type=click.IntRange(1), default=30, show_default=True, help="Shown at most.")
@click.option("--once", is_flag=True, help="Print one table, for scripts, and end.")
def command(admin_address: str, interval: float, channels: int, once: bool) -> int:
    """Show each channel: browsers, messages and deliveries a second, what is kept, what waits for the slow.

    The channels with the most browsers come first. Rates are those of the last interval. Ctrl-C ends it.
    """
    before = _look(admin_address)
    while True:
        asked = time.monotonic()
        time.sleep(interval)  # the command does nothing else, and has no loop
        now = _look(admin_address)
        text = f"{table(before, now, time.monotonic() - asked, channels)}\n\n{summary(now)}"
        if once:
            click.echo(text)
            return 0
        click.echo(f"{_HOME_AND_CLEAR}nsqgw push on {admin_address}\n\n{text}")
        before = now


def _look(address: str) -> dict[str, Any]:
    url = f"http://{address}/stats"
    try:
        answer = requests.get(url, timeout=_TIMEOUT)
        answer.raise_for_status()
        stats: dict[str, Any] = answer.json()
        stats["channels"], stats["connections"]
    except (requests.RequestException, ValueError, KeyError) as error:
        raise no_answer(url, error) from error
    return stats
