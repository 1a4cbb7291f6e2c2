"""The options of `nsqgw push` about topics: where they come from, and what browsers may do with them."""

from __future__ import annotations

from collections.abc import Iterable

import click

from gateways.cli.access import taken_access
from gateways.cli.option_group import Flags, OptionGroup
from gateways.cli.options import CHANNEL, DURATION, TOPIC
from gateways.cli.service_options import source_options
from gateways.push.policy import Policy, parse_policy


def _take(flags: Flags) -> dict[str, object]:
    topics = tuple(dict.fromkeys(flags.pop("topics")))
    return {
        "topics": topics,
        "channel": flags.pop("channel"),
        "nsqd_tcp_addresses": flags.pop("nsqds"),
        "lookupd_http_addresses": flags.pop("lookupds"),
        "access": taken_access(flags),
        "max_in_flight": flags.pop("max_in_flight"),
        "publish_topics": flags.pop("publish_topics"),
        "presence_topics": flags.pop("presence_topics"),
        "policies": _policies(flags.pop("policies"), topics),
        "window": flags.pop("window"),
    }


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


STREAMS = OptionGroup(
    (
        click.option("--topic", "topics", multiple=True, type=TOPIC, help="Topic to stream; repeatable."),
        click.option(
            "--channel",
            type=CHANNEL,
            help="Channel to consume; by default an ephemeral one of this process.",
        ),
        source_options,
        click.option(
            "--max-in-flight",
            type=click.IntRange(1, 1_000_000),
            default=1000,
            show_default=True,
            help="Messages of a topic on the way from nsqd.",
        ),
        click.option(
            "--allow-publish",
            "publish_topics",
            multiple=True,
            type=TOPIC,
            help="Topic to which anybody who may connect may publish, over /connect; repeatable.",
        ),
        click.option(
            "--show-presence",
            "presence_topics",
            multiple=True,
            type=TOPIC,
            help="Topic whose browsers on /connect may know of each other; repeatable.",
        ),
        click.option(
            "--slow",
            "policies",
            multiple=True,
            metavar="[TOPIC=]POLICY",
            help="For browsers that do not take their messages, of TOPIC or of all: disconnect (the "
            "default), drop-oldest, drop-new, conflate[:JSON_FIELD] or sample:MESSAGES_A_SECOND; repeatable.",
        ),
        click.option(
            "--window",
            type=DURATION,
            default="0s",
            show_default=True,
            help="Gather messages for so long into one write a browser, up to 20ms.",
        ),
    ),
    _take,
)
