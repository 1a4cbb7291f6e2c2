"""The options of `nsqgw push` about what waits for browsers: the history, and the queue of a slow one."""

from __future__ import annotations

import math

import click

from gateways.cli.option_group import Flags, OptionGroup
from gateways.cli.options import DURATION, SIZE
from gateways.push.history import HistoryLimits
from gateways.push.limits import Limits
from gateways.push.shared.settings import SharedSettings


def _take_limits(flags: Flags) -> dict[str, object]:
    return {"limits": Limits(max_queue_bytes=flags.pop("max_queue_bytes"))}


def _take_history(flags: Flags) -> dict[str, object]:
    values = (flags.pop(f"history_{name}") for name in ("messages", "bytes", "age"))
    shared = SharedSettings(flags.pop("redis_url") or "", flags.pop("redis_prefix"))
    max_age = flags.pop("max_age")
    return {
        "history": HistoryLimits(*values),
        "shared": shared,
        "max_age": math.inf if max_age is None else max_age,
    }


LIMITS = OptionGroup(
    (
        click.option(
            "--max-queue-bytes",
            type=SIZE,
            default="1MiB",
            show_default=True,
            help="What may wait for one browser before it is closed as too slow.",
        ),
    ),
    _take_limits,
)

HISTORY = OptionGroup(
    (
        click.option(
            "--history-messages",
            type=click.IntRange(0, 1_000_000),
            default=1000,
            show_default=True,
            help="Messages of a topic kept for browsers that come back.",
        ),
        click.option(
            "--history-bytes",
            type=SIZE,
            default="512KiB",
            show_default=True,
            help="Their bodies altogether, at most.",
        ),
        click.option(
            "--history-age", type=DURATION, default="5m", show_default=True, help="Their age, at most."
        ),
        click.option(
            "--redis-url",
            metavar="URL",
            help="A history in Redis that all processes share, such as redis://127.0.0.1:6379/0; they "
            "consume one --channel together then.",
        ),
        click.option(
            "--redis-prefix", default=SharedSettings().prefix, show_default=True, help="Of its keys."
        ),
        click.option(
            "--max-age",
            type=DURATION,
            help="Do not show messages that were published longer ago, such as a channel's backlog.",
        ),
    ),
    _take_history,
)
