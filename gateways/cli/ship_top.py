"""`nsqgw ship top`: what a running gateway does, in the terminal, from its admin port."""

from __future__ import annotations

import time
from typing import Any

import click
import requests

from gateways.cli.admin_answer import no_answer
from gateways.cli.options import ADDRESS, DURATION
from gateways.cli.ship_table import rows, table
from gateways.ship.config import ServiceSettings

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
@click.option("--once", is_flag=True, help="Print one table, for scripts, and end; troubles go to stderr.")
def command(admin_address: str, interval: float, once: bool) -> int:
    """Show each pipeline and its sinks: events and bytes a second, what is held, since when, and why.

    Rates are those of the last interval. A sink is ok, failing (tried one batch at a time), or open: it
    failed for so long that its pipeline takes nothing in. Ctrl-C ends it.
    """
    before = _look(admin_address)
    while True:
        asked = time.monotonic()
        time.sleep(interval)  # the command does nothing else, and has no loop
        now = _look(admin_address)
        text = table(rows(before, now, time.monotonic() - asked))
        if once:
            click.echo(text)
            click.echo(_troubles(now), nl=False, err=True)
            return 0
        click.echo(f"{_HOME_AND_CLEAR}nsqgw ship on {admin_address}\n\n{text}\n\n{_troubles(now)}", nl=False)
        before = now


def _look(address: str) -> list[dict[str, Any]]:
    """The status of the gateway's pipelines."""
    url = f"http://{address}/status"
    try:
        answer = requests.get(url, timeout=_TIMEOUT)
        answer.raise_for_status()
        pipelines: list[dict[str, Any]] = answer.json()["pipelines"]
    except (requests.RequestException, ValueError, KeyError) as error:
        raise no_answer(url, error) from error
    return pipelines


def _troubles(pipelines: list[dict[str, Any]]) -> str:
    """Why pipelines and sinks do not do their work, a line each."""
    told = [f"{each['pipeline']}: {each['trouble']}" for each in pipelines if each["trouble"]]
    return "".join(f"{line}\n" for line in told)
