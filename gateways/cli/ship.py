"""`nsqgw ship`: topics to files and log services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from pydantic import ValidationError

from gateways.cli.go_flags import GoCommand
from gateways.cli.options import (
    ADDRESS,
    CHANNEL,
    DURATION,
    LOOKUP_ADDRESS,
    OPTIONAL_ADDRESS,
    SIZE,
    TOPIC,
    Parsed,
    allow_host_option,
)
from gateways.ship.destination import KNOWN, parse_destination
from gateways.ship.service import ShipService
from gateways.ship.settings import ShipSettings
from nsqgw.service import logs
from nsqgw.service.lifecycle import run

DESTINATION = Parsed("destination", parse_destination)


def _setting(flag: str, kind: click.ParamType, text: str) -> Callable[..., Any]:  # type: ignore[type-arg]
    """An option whose default is the model's."""
    default = ShipSettings.model_fields[flag.lstrip("-").replace("-", "_")].default
    shown = f"{default:g}s" if kind is DURATION else str(default)
    return click.option(flag, type=kind, default=shown, show_default=True, help=text)


@click.command("ship", cls=GoCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--topic", "topics", type=TOPIC, multiple=True, required=True, help="Topic; repeatable.")
@click.option("--channel", type=CHANNEL, required=True, help="Channel to consume on.")
@click.option("--to", type=DESTINATION, required=True, help=f"Where to: {KNOWN}.")
@click.option("--nsqd-tcp-address", "nsqds", type=ADDRESS, multiple=True, help="An nsqd; repeatable.")
@click.option(
    "--lookupd-http-address",
    "lookupds",
    type=LOOKUP_ADDRESS,
    multiple=True,
    help="An nsqlookupd; repeatable.",
)
@_setting("--max-in-flight", click.INT, "Messages in hand at once, for each topic.")
@_setting("--batch-max-messages", click.INT, "Send a batch when it has so many messages,")
@_setting("--batch-max-bytes", SIZE, "or so many bytes,")
@_setting("--batch-max-age", DURATION, "or when its first message is so old.")
@_setting("--concurrency", click.INT, "Batches on their way at once.")
@_setting("--max-bytes-held", SIZE, "Take no more messages while so many bytes are in hand.")
@_setting(
    "--retry-budget", DURATION, "Hold messages so long for a sink that fails; then nsqd gets them back."
)
@_setting("--send-timeout", DURATION, "For one try of one batch.")
@_setting("--connect-timeout", DURATION, "Give up the start when nothing given answers by then.")
@_setting("--drain-timeout", DURATION, "For stopping in order.")
@_setting("--admin-address", OPTIONAL_ADDRESS, "For /ping, /ready, /metrics and /config; empty for none.")
@allow_host_option("the admin port")
@click.option("--log-level", type=click.Choice(logs.LEVELS), default="info", show_default=True)
@click.option("--log-format", type=click.Choice(logs.FORMATS), default="logfmt", show_default=True)
def command(
    nsqds: tuple[str, ...], lookupds: tuple[str, ...], log_level: str, log_format: str, **flags: Any
) -> int:
    """Ship TOPICs to a file or a log service, in batches.

    A message is finished only when the destination has it; while the destination fails, messages are held and
    tried again, then given back to nsqd. SIGTERM and Ctrl-C send what is in hand before the end.
    """
    settings = _settings({**flags, "nsqd_tcp_addresses": nsqds, "lookupd_http_addresses": lookupds})
    logs.configure(log_level, log_format)
    return run(
        ShipService(settings),
        admin_address=settings.admin_address,
        drain_timeout=settings.drain_timeout,
        allow_hosts=settings.allow_hosts,
    )


def _settings(values: dict[str, Any]) -> ShipSettings:
    """The settings that the flags stand for; a bad value is a usage error naming the flag and the value."""
    try:
        return ShipSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        text = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise click.UsageError(text) from None
        flag = "--" + str(first["loc"][0]).replace("_", "-")
        raise click.UsageError(f"{flag} {first['input']}: {text[0].lower()}{text[1:]}") from None
