"""`nsqgw topology`: what changes in a cluster, as events."""

from __future__ import annotations

from typing import Any

import click

from gateways.cli.go_flags import GoCommand
from gateways.cli.open_files import allow_all_files
from gateways.cli.options import (
    ADDRESS,
    DURATION,
    LOOKUP_ADDRESS,
    OPTIONAL_ADDRESS,
    OPTIONAL_TOPIC,
    allow_host_option,
)
from gateways.cli.service_options import log_options
from gateways.topology.watcher import Watcher, WatcherConfig
from nsqgw.errors import ConfigError
from nsqgw.service import logs
from nsqgw.service.lifecycle import run

_DRAIN_TIMEOUT = 5.0


@click.command("topology", cls=GoCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--lookupd-http-address",
    "lookupds",
    multiple=True,
    required=True,
    type=LOOKUP_ADDRESS,
    help="An nsqlookupd; repeatable: what they know is joined.",
)
@click.option(
    "--poll-interval", type=DURATION, default="2s", show_default=True, help="Pause between two looks."
)
@click.option(
    "--settle",
    type=DURATION,
    default="20s",
    show_default=True,
    help="What vanished is told only after it was away for so long.",
)
@click.option("--topic", type=OPTIONAL_TOPIC, default="", help="Publish the events to this topic.")
@click.option(
    "--nsqd-tcp-address",
    "nsqds",
    multiple=True,
    type=ADDRESS,
    help="An nsqd to publish them on; repeatable; by default one of those found.",
)
@click.option(
    "--listen",
    type=OPTIONAL_ADDRESS,
    default="",
    help="host:port for /topology and /topology/stream; none by default.",
)
@allow_host_option("the stream and the admin port")
@click.option(
    "--stdout", is_flag=True, help="Write the events to stdout, also when told to put them elsewhere."
)
@click.option(
    "--admin-address",
    type=OPTIONAL_ADDRESS,
    default="",
    help="host:port for /ping, /ready, /metrics and /config; none by default.",
)
@log_options
def command(**flags: Any) -> int:
    """Watch nsqlookupds, and tell what changes: nsqds, topics, channels, tombstones.

    Events are JSON: one a line on stdout, one a message on --topic, server-sent events or WebSocket messages
    on --listen; docs/topology.md has the schema. The first one is a snapshot.
    """
    try:
        watcher = Watcher(
            WatcherConfig(
                lookupd_http_addresses=flags["lookupds"],
                poll_interval=flags["poll_interval"],
                settle=flags["settle"],
                topic=flags["topic"],
                nsqd_tcp_addresses=flags["nsqds"],
                listen=flags["listen"],
                allow_hosts=flags["allow_hosts"],
                stdout=flags["stdout"] or not (flags["topic"] or flags["listen"]),
            )
        )
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    logs.configure(flags["log_level"], flags["log_format"])
    allow_all_files()
    return run(
        watcher,
        admin_address=flags["admin_address"],
        drain_timeout=_DRAIN_TIMEOUT,
        allow_hosts=flags["allow_hosts"],
    )
