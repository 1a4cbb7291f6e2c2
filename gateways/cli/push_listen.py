"""The options of `nsqgw push` about the port for browsers."""

from __future__ import annotations

import click

from gateways.cli.option_group import Flags, OptionGroup
from gateways.cli.options import ADDRESS, allow_host_option


def _take(flags: Flags) -> dict[str, object]:
    return {name: flags.pop(name) for name in ("listen", "allow_hosts", "allow_origins")}


LISTEN = OptionGroup(
    (
        click.option(
            "--listen",
            type=ADDRESS,
            default="127.0.0.1:8080",
            show_default=True,
            help="Where browsers come.",
        ),
        allow_host_option("the gateway"),
        click.option(
            "--allow-origin",
            "allow_origins",
            multiple=True,
            metavar="ORIGIN",
            help="Pages of another host that may connect, such as https://example.org, or * for all; "
            "repeatable.",
        ),
    ),
    _take,
)
