"""`nsqgw.publish`: one line to publish a message, over connections that the whole program shares."""

from __future__ import annotations

import os
from collections.abc import Iterable

from nsqgw.connection.address import address_list
from nsqgw.producer.blocking import BlockingProducer

ENVIRONMENT = "NSQD_TCP_ADDRESS"
"""The environment variable with the addresses to publish to by default, separated by commas."""

_DEFAULT = ("127.0.0.1:4150",)

_producers: dict[tuple[str, ...], BlockingProducer] = {}


def default_addresses() -> tuple[str, ...]:
    """The addresses in NSQD_TCP_ADDRESS, or nsqd's usual port on this machine."""
    words = os.environ.get(ENVIRONMENT, "").split(",")
    return tuple(word.strip() for word in words if word.strip()) or _DEFAULT


def publish(
    topic: str,
    body: bytes,
    *,
    nsqd_tcp_addresses: Iterable[str] | None = None,
    delay: float | None = None,
    timeout: float | None = None,
) -> None:
    """Publish one message and wait for nsqd's confirmation; from any thread, without anything set up.

    The addresses are those given, or else in the environment variable NSQD_TCP_ADDRESS (separated by
    commas), or else 127.0.0.1:4150. The first call connects, later ones use the same connections, and the
    end of the program closes them. `delay`, `timeout` (both in seconds) and errors as in
    `BlockingProducer.publish`.
    """
    if nsqd_tcp_addresses is None:
        addresses = default_addresses()
    else:
        addresses = address_list("nsqd_tcp_addresses", nsqd_tcp_addresses)
    producer = _producers.get(addresses)
    if producer is None:  # one that loses against another thread's has not started anything
        producer = _producers.setdefault(addresses, BlockingProducer(addresses))
    producer.publish(topic, body, delay, timeout)
