"""`nsqgw push bridge`: topics to an nginx that has the browsers, by one pipeline of the log gateway."""

from __future__ import annotations

from typing import Any

import click
from pydantic import ValidationError

from gateways.cli.access import taken_access
from gateways.cli.go_flags import GoCommand
from gateways.cli.options import (
    CHANNEL,
    DURATION,
    OPTIONAL_ADDRESS,
    TOPIC_OR_PATTERN,
    allow_host_option,
)
from gateways.cli.service_options import log_options, source_options
from gateways.cli.ship import DESTINATION, run_gateway
from gateways.ship.config import ServiceSettings, ShipConfig
from gateways.ship.named_sink import NamedSink
from gateways.ship.settings import ShipSettings
from gateways.ship.sinks.discard import DiscardSettings
from gateways.ship.sinks.nginx import NginxSettings

SINK_FLAGS = {
    "style": "style",
    "publish_url": "url",
    "publish_channel": "channel",
    "event_id": "event_id",
    "event_type": "event_type",
    "content_type": "content_type",
    "empty": "empty",
    "pool": "pool",
    "timeout": "request_timeout",
}
"""Flags about nginx, and the setting of its sink that each stands for."""

_REMEMBERED = 10_000
"""Messages confirmed: those that nsqd delivers again are not published again."""

_SERVICE_FLAGS = ("admin_address", "allow_hosts", "drain_timeout", "log_level", "log_format")


@click.command("bridge", cls=GoCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--topic",
    "topics",
    type=TOPIC_OR_PATTERN,
    multiple=True,
    required=True,
    help="Topic or pattern; repeatable.",
)
@click.option("--channel", type=CHANNEL, default="nginx", show_default=True, help="NSQ channel to consume.")
@source_options
@click.option(
    "--style", type=click.Choice(("push-stream", "nchan")), required=True, help="Which module nginx has."
)
@click.option(
    "--publish-url",
    required=True,
    help="Where to publish, with {channel} in it, such as http://127.0.0.1/pub?id={channel}.",
)
@click.option(
    "--publish-channel",
    default="{topic}",
    show_default=True,
    help="nginx's channel: a template such as {topic}, {field:user.id} or {id}.",
)
@click.option("--event-id", help="Template of push-stream's Event-Id; by default {id}.")
@click.option("--event-type", help="Template of the type of event that SSE shows; none by default.")
@click.option("--content-type", help="Kept by nchan with each message; text/plain by default.")
@click.option(
    "--empty", type=click.Choice(("skip", "send")), help="Empty messages; push-stream's default is skip."
)
@click.option("--pool", type=int, help="Connections to nginx, 8 by default; a channel keeps to one of them.")
@click.option("--timeout", type=DURATION, help="For one publication, 20s by default.")
@click.option(
    "--dead-letter",
    type=DESTINATION,
    help="Where messages go that nginx refuses, such as file:PATH; by default they are counted and dropped.",
)
@click.option("--max-in-flight", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@click.option("--retry-budget", type=DURATION, default="300s", show_default=True, help="See nsqgw ship.")
@click.option("--connect-timeout", type=DURATION, default="10s", show_default=True, help="For the start.")
@click.option("--drain-timeout", type=DURATION, default="25s", show_default=True, help="For the end.")
@click.option(
    "--admin-address", type=OPTIONAL_ADDRESS, default="127.0.0.1:9117", show_default=True, help="Or empty."
)
@allow_host_option("the admin port")
@log_options
def command(**flags: Any) -> int:
    """Publish TOPICs to nginx-push-stream-module or nchan, which pass them on to browsers.

    One publication a message, in order within each of nginx's channels, finished once nginx confirms it. For
    several bridges in one process, or transforms on the way, use the sink nginx of 'nsqgw ship'.
    """
    try:
        config = config_of(flags)
    except ValidationError as error:
        raise click.UsageError(_told(error)) from None
    return run_gateway(config)


def config_of(flags: dict[str, Any]) -> ShipConfig:
    """The one pipeline that the flags stand for."""
    given = {setting: flags[flag] for flag, setting in SINK_FLAGS.items() if flags[flag] is not None}
    pipeline = ShipSettings.model_validate(
        {
            "name": "bridge",
            "topics": flags["topics"],
            "channel": flags["channel"],
            "sinks": (NamedSink(to=NginxSettings.model_validate(given)),),
            "dead_letter": NamedSink(name="dead_letter", to=flags["dead_letter"] or DiscardSettings()),
            "access": taken_access(flags),
            "nsqd_tcp_addresses": flags["nsqds"],
            "lookupd_http_addresses": flags["lookupds"],
            "max_in_flight": flags["max_in_flight"],
            "batch_max_age": 0.0,
            "dedup": _REMEMBERED,
            "retry_budget": flags["retry_budget"],
            "connect_timeout": flags["connect_timeout"],
            "drain_timeout": flags["drain_timeout"],
        }
    )
    return ShipConfig((pipeline,), ServiceSettings(**{name: flags[name] for name in _SERVICE_FLAGS}))


def _told(error: ValidationError) -> str:
    """The first thing wrong, by the name of its flag."""
    first = error.errors(include_url=False)[0]
    text = first["msg"].removeprefix("Value error, ")
    setting = str(first["loc"][0]) if first["loc"] else ""
    flag = next((flag for flag, name in SINK_FLAGS.items() if name == setting), setting)
    return f"--{flag.replace('_', '-')}: {text[0].lower()}{text[1:]}" if flag else text
