"""`nsqgw nsqlookupd`: the directory of topics with the flags of the original (nsqlookupd section 7)."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from compat.nsqlookupd import Nsqlookupd, NsqlookupdOptions
from gateways.cli.daemon import admin_options, run_daemon
from gateways.cli.go_flags import (
    LOG_LEVEL,
    GoCommand,
    boolean_option,
    config_option,
    duration_option,
    version_option,
)
from gateways.cli.options import ADDRESS, LISTEN_ADDRESS, OPTIONAL_TOPIC

if TYPE_CHECKING:
    from prometheus_client import Metric


def _metrics(lookupd: Nsqlookupd) -> Iterable[Metric]:
    """The figures for Prometheus, whose library is imported when there is an admin port that asks."""
    from compat.nsqlookupd.metrics import directory_metrics

    return directory_metrics(lookupd)


@click.command(cls=GoCommand, name="nsqlookupd", context_settings={"help_option_names": ["-h", "--help"]})
@version_option("nsqlookupd")
@config_option()
@click.option("--log-level", type=LOG_LEVEL, default="info", show_default=True, help="What to log.")
@click.option("--log-prefix", default="[nsqlookupd] ", show_default=True, help="How log lines begin.")
@boolean_option("--verbose", False, "Accepted without effect, as in the original.")
@click.option(
    "--tcp-address",
    type=LISTEN_ADDRESS,
    default="0.0.0.0:4160",
    show_default=True,
    help="host:port for nsqds.",
)
@click.option(
    "--http-address",
    type=LISTEN_ADDRESS,
    default="0.0.0.0:4161",
    show_default=True,
    help="host:port for clients.",
)
@click.option(
    "--broadcast-address",
    default=socket.gethostname,
    show_default="this host's name",
    help="Address told to nsqds; they must be able to resolve it.",
)
@duration_option("--inactive-producer-timeout", "5m0s", "An nsqd that did not ping for so long is hidden.")
@duration_option("--tombstone-lifetime", "45s", "How long a tombstone hides an nsqd for a topic.")
@boolean_option("--legacy-http", False, "Serve HTTP clients of before NSQ 1.0, too: wrapped answers.")
@click.option(
    "--topology-topic",
    type=OPTIONAL_TOPIC,
    default="",
    help="Publish what changes in the cluster to this topic, as JSON events.",
)
@click.option(
    "--topology-nsqd-tcp-address",
    "topology_nsqds",
    type=ADDRESS,
    multiple=True,
    help="An nsqd to publish it on; repeatable; by default one of those registered.",
)
@admin_options
def command(
    log_level: str,
    log_prefix: str,
    verbose: bool,
    tcp_address: str,
    http_address: str,
    broadcast_address: str,
    inactive_producer_timeout: float,
    tombstone_lifetime: float,
    legacy_http: bool,
    topology_topic: str,
    topology_nsqds: tuple[str, ...],
    admin_address: str,
    allow_hosts: tuple[str, ...],
) -> int:
    """The directory of topics: nsqlookupd, with the flags of the original.

    Flags take one or two dashes, and their value after `=` or as the next argument.
    """
    if topology_nsqds and not topology_topic:
        raise click.UsageError("--topology-nsqd-tcp-address needs --topology-topic")
    options = NsqlookupdOptions(
        tcp_address=tcp_address,
        http_address=http_address,
        broadcast_address=broadcast_address,
        inactive_producer_timeout=inactive_producer_timeout,
        tombstone_lifetime=tombstone_lifetime,
        legacy_http=legacy_http,
        topology_topic=topology_topic,
        topology_nsqd_tcp_addresses=topology_nsqds,
    )
    return run_daemon(
        "nsqgw nsqlookupd",
        Nsqlookupd(options),
        _metrics,
        log_prefix=log_prefix,
        log_level=log_level,
        admin_address=admin_address,
        allow_hosts=allow_hosts,
    )
