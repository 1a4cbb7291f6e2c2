"""`nsqgw push`: topics to browsers."""

from __future__ import annotations

from typing import Any

import click

from gateways.cli.access import access_options, taken_access
from gateways.cli.go_flags import GoCommand
from gateways.cli.options import (
    ADDRESS,
    CHANNEL,
    DURATION,
    LOOKUP_ADDRESS,
    OPTIONAL_ADDRESS,
    SIZE,
    TOPIC,
    allow_host_option,
)
from gateways.push.config import PushConfig
from gateways.push.gateway import PushGateway
from gateways.push.limits import Limits
from nsqgw.errors import ConfigError
from nsqgw.service import logs
from nsqgw.service.lifecycle import run


@click.command("push", cls=GoCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--topic", "topics", multiple=True, required=True, type=TOPIC, help="Topic to stream; repeatable."
)
@click.option(
    "--channel", type=CHANNEL, help="Channel to consume; by default an ephemeral one of this process."
)
@click.option("--nsqd-tcp-address", "nsqds", multiple=True, type=ADDRESS, help="An nsqd; repeatable.")
@click.option(
    "--lookupd-http-address",
    "lookupds",
    multiple=True,
    type=LOOKUP_ADDRESS,
    help="An nsqlookupd; repeatable.",
)
@access_options
@click.option(
    "--listen", type=ADDRESS, default="127.0.0.1:8080", show_default=True, help="Where browsers come."
)
@allow_host_option("the gateway")
@click.option(
    "--allow-origin",
    "allow_origins",
    multiple=True,
    metavar="ORIGIN",
    help="Pages of another host that may connect, such as https://example.org, or * for all; repeatable.",
)
@click.option(
    "--max-in-flight",
    type=click.IntRange(1, 1_000_000),
    default=1000,
    show_default=True,
    help="Messages of a topic on the way from nsqd.",
)
@click.option(
    "--max-queue-bytes",
    type=SIZE,
    default="1MiB",
    show_default=True,
    help="What may wait for one browser before it is closed as too slow.",
)
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
@click.option("--log-level", type=click.Choice(logs.LEVELS), default="info", show_default=True)
@click.option("--log-format", type=click.Choice(logs.FORMATS), default="logfmt", show_default=True)
def command(**flags: Any) -> int:
    """Stream TOPICs to browsers, by WebSocket and server-sent events, at /stream/<topic>.

    / is a page that shows the streams. A browser gets what is published while it is there; one that does not
    take its messages is closed, so that the others never wait.
    """
    access = taken_access(flags)
    try:
        gateway = PushGateway(
            PushConfig(
                topics=tuple(dict.fromkeys(flags["topics"])),
                channel=flags["channel"],
                nsqd_tcp_addresses=flags["nsqds"],
                lookupd_http_addresses=flags["lookupds"],
                access=access,
                listen=flags["listen"],
                allow_hosts=flags["allow_hosts"],
                allow_origins=flags["allow_origins"],
                max_in_flight=flags["max_in_flight"],
                connect_timeout=flags["connect_timeout"],
                drain_timeout=flags["drain_timeout"],
                limits=Limits(max_queue_bytes=flags["max_queue_bytes"]),
            )
        )
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    logs.configure(flags["log_level"], flags["log_format"])
    return run(
        gateway,
        admin_address=flags["admin_address"],
        drain_timeout=flags["drain_timeout"],
        allow_hosts=flags["allow_hosts"],
    )
