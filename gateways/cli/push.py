"""`nsqgw push`: topics to browsers."""

from __future__ import annotations

from collections.abc import Iterable
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
from gateways.push.history import HistoryLimits
from gateways.push.limits import Limits
from gateways.push.policy import Policy, parse_policy
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
    "--allow-publish",
    "publish_topics",
    multiple=True,
    type=TOPIC,
    help="Topic to which anybody who may connect may publish, over /connect; repeatable.",
)
@click.option(
    "--show-presence",
    "presence_topics",
    multiple=True,
    type=TOPIC,
    help="Topic whose browsers on /connect may know of each other; repeatable.",
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
    "--slow",
    "policies",
    multiple=True,
    metavar="[TOPIC=]POLICY",
    help="For browsers that do not take their messages, of TOPIC or of all: disconnect (the default), "
    "drop-oldest, drop-new, conflate[:JSON_FIELD] or sample:MESSAGES_A_SECOND; repeatable.",
)
@click.option(
    "--window",
    type=DURATION,
    default="0s",
    show_default=True,
    help="Gather messages for so long into one write a browser, up to 20ms.",
)
@click.option(
    "--history-messages",
    type=click.IntRange(0, 1_000_000),
    default=1000,
    show_default=True,
    help="Messages of a topic kept for browsers that come back.",
)
@click.option(
    "--history-bytes",
    type=SIZE,
    default="512KiB",
    show_default=True,
    help="Their bodies altogether, at most.",
)
@click.option("--history-age", type=DURATION, default="5m", show_default=True, help="Their age, at most.")
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

    /connect is one WebSocket for many topics; docs/push-protocol.md has its protocol.

    / is a page that shows the streams. A browser that comes back with its position gets what it missed. One
    that does not take its messages is closed, or as --slow says, so that the others never wait.
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
                policies=_policies(flags["policies"], flags["topics"]),
                history=HistoryLimits(
                    flags["history_messages"], flags["history_bytes"], flags["history_age"]
                ),
                window=flags["window"],
                publish_topics=flags["publish_topics"],
                presence_topics=flags["presence_topics"],
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


def _policies(texts: Iterable[str], topics: Iterable[str]) -> dict[str, Policy]:
    """By topic; what names none holds for all that have no other."""
    common: dict[str, Policy] = {}
    own: dict[str, Policy] = {}
    for text in texts:
        topic, given, policy = text.rpartition("=")
        if given:
            own[topic] = parse_policy(policy)
        else:
            common = dict.fromkeys(topics, parse_policy(text))
    return common | own
