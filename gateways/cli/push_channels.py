"""The options of `nsqgw push` about channels: which a topic's messages go to, and how many there may be."""

from __future__ import annotations

from collections.abc import Iterable

import click

from gateways.cli.option_group import Flags, OptionGroup
from gateways.push.channel import ChannelLimits
from gateways.push.routing import DROP, Route
from nsqgw.errors import ConfigError


def _take(flags: Flags) -> dict[str, object]:
    fallbacks = dict(_pairs("--unrouted", flags.pop("unrouted")))
    routes = [
        Route(topic, text, fallbacks.get(topic, "")) for topic, text in _pairs("--route", flags.pop("routes"))
    ]
    for topic in fallbacks:
        if topic not in {route.topic for route in routes}:
            raise ConfigError(f"--unrouted names {topic!r}, which has no route: add --route {topic}=TEMPLATE")
    return {
        "routes": tuple(routes),
        "channels": ChannelLimits(max_channels=flags.pop("max_channels")),
    }


def _pairs(flag: str, texts: Iterable[str]) -> Iterable[tuple[str, str]]:
    for text in texts:
        topic, given, value = text.partition("=")
        if not given or not value:
            raise ConfigError(f"{flag} {text!r} names no topic and what is its: write TOPIC=...")
        yield topic, value


CHANNELS = OptionGroup(
    (
        click.option(
            "--route",
            "routes",
            multiple=True,
            metavar="TOPIC=TEMPLATE",
            help="Channels for messages of TOPIC, such as orders=orders.{customer.id}, with fields of the "
            "JSON body and {topic}; without one the topic is the channel; repeatable.",
        ),
        click.option(
            "--unrouted",
            multiple=True,
            metavar=f"TOPIC=CHANNEL|{DROP}",
            help="Where messages of TOPIC go that lack a field; by default to TOPIC.unrouted; repeatable.",
        ),
        click.option(
            "--max-channels",
            type=click.IntRange(1, 10_000_000),
            default=ChannelLimits().max_channels,
            show_default=True,
            help="Channels there may be at a time.",
        ),
    ),
    _take,
)
