"""The options of a gateway as a service: where messages come from, and logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gateways.cli.access import access_options
from gateways.cli.options import ADDRESS, LOOKUP_ADDRESS
from nsqgw.service import logs

_NSQD = click.option("--nsqd-tcp-address", "nsqds", type=ADDRESS, multiple=True, help="An nsqd; repeatable.")
_LOOKUPD = click.option(
    "--lookupd-http-address",
    "lookupds",
    type=LOOKUP_ADDRESS,
    multiple=True,
    help="An nsqlookupd; repeatable.",
)
_LEVEL = click.option("--log-level", type=click.Choice(logs.LEVELS), default="info", show_default=True)
_FORMAT = click.option("--log-format", type=click.Choice(logs.FORMATS), default="logfmt", show_default=True)


def source_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Addresses of nsqds and nsqlookupds, with TLS and secrets towards them (see `taken_access`)."""
    return _NSQD(_LOOKUPD(access_options(function)))


def log_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The level and the form of log lines."""
    return _LEVEL(_FORMAT(function))
