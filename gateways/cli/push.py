"""`nsqgw push`: topics to browsers. Each group of options is a module of its own, named push_<part>."""

from __future__ import annotations

from typing import Any

import click

from gateways.cli.open_files import allow_all_files
from gateways.cli.options import DURATION, OPTIONAL_ADDRESS
from gateways.cli.push_history import HISTORY, LIMITS
from gateways.cli.push_listen import LISTEN
from gateways.cli.push_security import SECURITY
from gateways.cli.push_streams import STREAMS
from gateways.cli.service_options import log_options
from gateways.cli.subcommands import WithSubcommands
from gateways.push.config import PushConfig
from gateways.push.gateway import PushGateway
from nsqgw.errors import ConfigError
from nsqgw.service import logs
from nsqgw.service.lifecycle import run

GROUPS = (STREAMS, LISTEN, SECURITY, LIMITS, HISTORY)
"""What they take are arguments of PushConfig."""


class PushCommand(WithSubcommands):
    """Runs by flags or a config file."""

    subcommands = {
        "bridge": ("gateways.cli.push_bridge", "Publish topics into an nginx (push-stream or nchan)."),
    }


@click.command("push", cls=PushCommand, context_settings={"help_option_names": ["-h", "--help"]})
@STREAMS
@LISTEN
@SECURITY
@LIMITS
@HISTORY
@click.option(
    "--connect-timeout",
    type=DURATION,
    default="10s",
    show_default=True,
    help="For the first connection to nsqd.",
)
@click.option(
    "--drain-timeout",
    type=DURATION,
    default="10s",
    show_default=True,
    help="For browsers to leave at the end.",
)
@click.option(
    "--admin-address",
    type=OPTIONAL_ADDRESS,
    default="127.0.0.1:9118",
    show_default=True,
    help="For /ping, /ready, /metrics and /config; empty for none.",
)
@log_options
def command(**flags: Any) -> int:
    """Stream TOPICs to browsers, by WebSocket and server-sent events, at /stream/<topic>.

    /connect is one WebSocket for many topics; docs/push-protocol.md has its protocol.

    / is a page that shows the streams. A browser that comes back with its position gets what it missed. One
    that does not take its messages is closed, or as --slow says, so that the others never wait.
    """
    if not flags["topics"]:
        raise click.UsageError("Missing option '--topic'.")
    settings: dict[str, Any] = {name: flags[name] for name in ("connect_timeout", "drain_timeout")}
    try:
        for group in GROUPS:
            settings |= group.take(flags)
        gateway = PushGateway(PushConfig(**settings))
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    logs.configure(flags["log_level"], flags["log_format"])
    allow_all_files()
    return run(
        gateway,
        admin_address=flags["admin_address"],
        drain_timeout=flags["drain_timeout"],
        allow_hosts=settings["allow_hosts"],
    )
