"""Looking at a running gateway again and again, by its admin port: what the commands `top` have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click
import requests

from gateways.cli.admin_answer import no_answer
from gateways.cli.options import ADDRESS, DURATION

_TIMEOUT = 5.0
_HOME_AND_CLEAR = "\x1b[H\x1b[J"

LookT = TypeVar("LookT")

INTERVAL = click.option(
    "--interval", type=DURATION, default="1s", show_default=True, help="Between two looks."
)


def admin_address_option(default: str) -> Callable[..., Any]:
    """Where the gateway's admin port is."""
    return click.option(
        "--admin-address",
        type=ADDRESS,
        default=default,
        show_default=True,
        help="The admin port of the gateway.",
    )


def looked_at(url: str, pick: Callable[[Any], LookT]) -> LookT:
    """What `pick` takes from the JSON at `url`; NotConnected where no gateway answers so."""
    try:
        answer = requests.get(url, timeout=_TIMEOUT)
        answer.raise_for_status()
        return pick(answer.json())
    except (requests.RequestException, ValueError, KeyError) as error:
        raise no_answer(url, error) from error


def looks(look: Callable[[], LookT], interval: float) -> Iterator[tuple[LookT, LookT, float]]:
    """Two looks in a row and the seconds between them, without end."""
    before = look()
    while True:
        asked = time.monotonic()
        time.sleep(interval)  # the command does nothing else, and has no loop
        now = look()
        yield before, now, time.monotonic() - asked
        before = now


def show(head: str, text: str) -> None:
    """In place of what the terminal showed."""
    click.echo(f"{_HOME_AND_CLEAR}{head}\n\n{text}")
