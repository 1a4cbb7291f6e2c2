"""`nsqgw push top`: what a running gateway does, in the terminal, from its admin port."""

from __future__ import annotations

from typing import Any

import click

from gateways.cli.live_view import INTERVAL, admin_address_option, looked_at, looks, show
from gateways.cli.push_table import summary, table
from gateways.push.settings import ServiceSettings

ADMIN_ADDRESS = admin_address_option(ServiceSettings.model_fields["admin_address"].default)


@click.command("top", context_settings={"help_option_names": ["-h", "--help"]})
@ADMIN_ADDRESS
@INTERVAL
@click.option("--channels", type=click.IntRange(1), default=30, show_default=True, help="Shown at most.")
@click.option("--once", is_flag=True, help="Print one table, for scripts, and end.")
def command(admin_address: str, interval: float, channels: int, once: bool) -> int:
    """Show each channel: browsers, messages and deliveries a second, what is kept, what waits for the slow.

    The channels with the most browsers come first. Rates are those of the last interval. Ctrl-C ends it.
    """
    url = f"http://{admin_address}/stats"
    for before, now, seconds in looks(lambda: looked_at(url, _stats), interval):
        text = f"{table(before, now, seconds, channels)}\n\n{summary(now)}"
        if once:
            click.echo(text)
            break
        show(f"nsqgw push on {admin_address}", text)
    return 0


def _stats(document: dict[str, Any]) -> dict[str, Any]:
    document["channels"], document["connections"]
    return document
