"""What commands that look at a running gateway say when its admin port does not answer."""

from __future__ import annotations

import click
import requests

from nsqgw.errors import NotConnected


def no_answer(url: str, error: Exception) -> NotConnected:
    """The error to raise for `error`, which asking `url` has ended with."""
    gateway = " ".join(click.get_current_context().command_path.split()[:2])
    if isinstance(error, requests.Timeout):
        reason = "nothing came in time"
    elif isinstance(error, requests.ConnectionError):
        reason = "no connection"
    else:
        reason = "something else listens there"
    return NotConnected(
        f"{url} does not answer as {gateway} does ({reason}): is it running, is this its --admin-address?"
    )
