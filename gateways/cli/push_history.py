"""The options of `nsqgw push` about what waits for browsers: the history, and the queue of a slow one."""

from __future__ import annotations

import click

from gateways.cli.option_group import Flags, OptionGroup
from gateways.cli.options import DURATION, SIZE
from gateways.push.history import HistoryLimits
from gateways.push.limits import Limits


def _take_limits(flags: Flags) -> dict[str, object]:
    return {"limits": Limits(max_queue_bytes=flags.pop("max_queue_bytes"))}


def _take_history(flags: Flags) -> dict[str, object]:
    values = (flags.pop(f"history_{name}") for name in ("messages", "bytes", "age"))
    return {"history": HistoryLimits(*values)}


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
    ),
    _take_history,
)
