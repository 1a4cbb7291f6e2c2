"""`nsqgw nsq_to_http`: the flags of nsq_to_http, so that a command line of it moves over unchanged.

One request a message, as there. Unlike there, a message that no address takes is held, tried again and given
back to nsqd; after five tries nsq_to_http drops it.
"""

from __future__ import annotations

from typing import Any

import click
from pydantic import ValidationError

from gateways.cli.go_flags import GoCommand
from gateways.cli.options import ADDRESS, CHANNEL, DURATION, LOOKUP_ADDRESS, OPTIONAL_ADDRESS, TOPIC
from gateways.cli.ship import run_gateway
from gateways.ship.config import ServiceSettings, ShipConfig
from gateways.ship.named_sink import NamedSink
from gateways.ship.settings import ShipSettings
from gateways.ship.sinks.http import HttpSettings

_BALANCES = {"round-robin": "round_robin", "hostpool": "round_robin", "epsilon-greedy": "epsilon_greedy"}
_MAX_BATCHES = 4  # of single requests, so that a slow one holds up a part of the others only


@click.command("nsq_to_http", cls=GoCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--topic", type=TOPIC, required=True, help="Topic to consume.")
@click.option(
    "--channel", type=CHANNEL, default="nsq_to_http", show_default=True, help="Channel to consume on."
)
@click.option("--post", "posts", multiple=True, help="Address to POST each message to; repeatable.")
@click.option("--get", "gets", multiple=True, help="Address to GET, with %s for the message; repeatable.")
@click.option(
    "--mode",
    type=click.Choice(tuple(_BALANCES)),
    default="hostpool",
    show_default=True,
    help="Which of several addresses is next; those that fail rest for a while in every mode.",
)
@click.option(
    "--n",
    "publishers",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Requests at once.",
)
@click.option("--content-type", default="application/octet-stream", show_default=True, help="Of a POST.")
@click.option("--header", "headers", multiple=True, help="`Name: value`, for each request; repeatable.")
@click.option("--sample", type=click.FloatRange(0, 1), default=1.0, help="Publish this part of the messages.")
@click.option("--http-client-connect-timeout", type=DURATION, default="2s", show_default=True)
@click.option("--http-client-request-timeout", type=DURATION, default="20s", show_default=True)
@click.option("--max-in-flight", type=click.IntRange(1, 1_000_000), default=200, show_default=True)
@click.option("--nsqd-tcp-address", "nsqds", type=ADDRESS, multiple=True, help="An nsqd; repeatable.")
@click.option("--lookupd-http-address", "lookupds", type=LOOKUP_ADDRESS, multiple=True, help="Repeatable.")
@click.option("--status-every", type=int, default=250, help="Accepted without effect: see /metrics.")
@click.option("--consumer-opt", multiple=True, help="Not taken: these are go-nsq's.")
@click.option(
    "--admin-address", type=OPTIONAL_ADDRESS, default="", help="For /ready and /metrics; none by default."
)
def command(**flags: Any) -> int:
    """POST or GET each message of TOPIC, with the flags of nsq_to_http.

    A POST is confirmed by any 2xx, a GET by 200 alone.
    """
    return run_gateway(configured(flags), name="nsqgw nsq_to_http")


def configured(flags: dict[str, Any]) -> ShipConfig:
    """The configuration that the flags stand for. UsageError for what cannot be used."""
    if flags["consumer_opt"]:
        raise click.UsageError(
            f"--consumer-opt {flags['consumer_opt'][0]} is go-nsq's: TLS and AUTH are keys of [nsq] in a"
            " config file of 'nsqgw ship'"
        )
    try:
        return _config(flags)
    except ValidationError as error:
        raise click.UsageError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def _config(flags: dict[str, Any]) -> ShipConfig:
    batches = min(_MAX_BATCHES, flags["publishers"])
    each = flags["publishers"] // batches
    pipeline = ShipSettings.model_validate(
        {
            "topics": (flags["topic"],),
            "channel": flags["channel"],
            "sinks": (NamedSink(to=_sink(flags, each)),),
            "transforms": [{"type": "sample", "rate": flags["sample"]}] if flags["sample"] < 1 else [],
            "nsqd_tcp_addresses": flags["nsqds"],
            "lookupd_http_addresses": flags["lookupds"],
            "max_in_flight": flags["max_in_flight"],
            "batch_max_messages": each,
            "batch_max_age": 0.0,
            "concurrency": batches,
            "max_concurrency": 0,
        }
    )
    return ShipConfig((pipeline,), ServiceSettings(admin_address=flags["admin_address"]))


def _sink(flags: dict[str, Any], at_once: int) -> HttpSettings:
    posts, gets = flags["posts"], flags["gets"]
    if bool(posts) == bool(gets):
        raise click.UsageError("give --post or --get, one of them at least and not both")
    for address in gets:
        if address.count("%s") != 1:
            raise click.UsageError(f"--get {address!r} must have %s once, where the message goes")
    return HttpSettings.model_validate(
        {
            "url": posts or gets,
            "method": "POST" if posts else "GET",
            "framing": "one",
            "balance": _BALANCES[flags["mode"]],
            "content_type": flags["content_type"],
            "headers": dict(_header(text) for text in flags["headers"]),
            "connect_timeout": flags["http_client_connect_timeout"],
            "request_timeout": flags["http_client_request_timeout"],
            "requests_at_once": at_once,
        }
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise click.UsageError("--header has no colon: write 'Name: value'")
    return name.strip(), value.strip()
