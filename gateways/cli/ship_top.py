"""`nsqgw ship top`: what a running gateway does, in the terminal, from its admin port."""

from __future__ import annotations

from typing import Any

import click

from gateways.cli.live_view import INTERVAL, admin_address_option, looked_at, looks, show
from gateways.cli.ship_table import rows, table
from gateways.ship.config import ServiceSettings

ADMIN_ADDRESS = admin_address_option(ServiceSettings.model_fields["admin_address"].default)


@click.command("top", context_settings={"help_option_names": ["-h", "--help"]})
@ADMIN_ADDRESS
@INTERVAL
@click.option("--once", is_flag=True, help="Print one table, for scripts, and end; troubles go to stderr.")
def command(admin_address: str, interval: float, once: bool) -> int:
    """Show each pipeline and its sinks: events and bytes a second, what is held, since when, and why.

    Rates are those of the last interval. A sink is ok, failing (tried one batch at a time), or open: it
    failed for so long that its pipeline takes nothing in. Ctrl-C ends it.
    """
    url = f"http://{admin_address}/status"
    for before, now, seconds in looks(lambda: looked_at(url, _pipelines), interval):
        text = table(rows(before, now, seconds))
        if once:
            click.echo(text)
            click.echo(_troubles(now), nl=False, err=True)
            break
        show(f"nsqgw ship on {admin_address}", f"{text}\n\n{_troubles(now)}")
    return 0


def _pipelines(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["pipelines"]
    return found


def _troubles(pipelines: list[dict[str, Any]]) -> str:
    """Why pipelines and sinks do not do their work, a line each."""
    told = [f"{each['pipeline']}: {each['trouble']}" for each in pipelines if each["trouble"]]
    return "".join(f"{line}\n" for line in told)
