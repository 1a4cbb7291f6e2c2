"""The options of `nsqgw push` as a program: time-outs, processes, the admin port, logs."""

from __future__ import annotations

import click

from gateways.cli.event_loop import EVENT_LOOPS
from gateways.cli.option_group import Flags, OptionGroup
from gateways.cli.options import DURATION, OPTIONAL_ADDRESS
from gateways.cli.service_options import log_options
from gateways.push.settings import MAX_PROCESSES, ServiceSettings

FIELDS = tuple(name for name in ServiceSettings.model_fields if name != "allow_hosts")
"""Settings of `[service]` that are flags, too; the names of hosts are those of the port for browsers."""


def _take(flags: Flags) -> dict[str, object]:
    return {name: flags.pop(name) for name in FIELDS}


SERVICE = OptionGroup(
    (
        click.option(
            "--connect-timeout",
            type=DURATION,
            default="10s",
            show_default=True,
            help="For the first connection to nsqd.",
        ),
        click.option(
            "--drain-timeout",
            type=DURATION,
            default="10s",
            show_default=True,
            help="For browsers to leave at the end.",
        ),
        click.option(
            "--drain-delay",
            type=DURATION,
            default="0s",
            show_default=True,
            help="Of that: not ready any more, but serving, until load balancers have seen it.",
        ),
        click.option(
            "--processes",
            type=click.IntRange(0, MAX_PROCESSES),
            default=1,
            show_default=True,
            help="That share the port; 0 for one a core.",
        ),
        click.option(
            "--event-loop",
            type=click.Choice(EVENT_LOOPS),
            default="asyncio",
            show_default=True,
            help="uvloop takes less CPU a delivery, and the extra `uvloop`.",
        ),
        click.option(
            "--admin-address",
            type=OPTIONAL_ADDRESS,
            default=ServiceSettings.model_fields["admin_address"].default,
            show_default=True,
            help="For /ping, /ready, /metrics, /config and /stats; empty for none.",
        ),
        log_options,
    ),
    _take,
)
