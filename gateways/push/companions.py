"""Whether another process consumes a channel that is to be ours alone: then each would get a part.

nsqlookupd knows the nsqds of a topic and their HTTP addresses, and those know who is on the channel. Where
nobody can be asked, nothing is refused: an nsqd given by its TCP address only tells nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from nsqgw.errors import ConfigError, NSQError
from nsqgw.http.clients import LookupdHttpAsync, NsqdHttpAsync

logger = logging.getLogger(__name__)


async def check_alone(lookupds: Sequence[str], topics: Sequence[str], channel: str, timeout: float) -> None:
    """ConfigError when somebody consumes `channel` of one of `topics`; `timeout` seconds a question."""
    for lookupd in lookupds:
        for topic in topics:
            try:
                found = await _others(lookupd, topic, channel, timeout)
            except NSQError as error:
                logger.info("cannot tell whether channel %s of %s is ours alone: %s", channel, topic, error)
                continue
            if found is not None:
                raise ConfigError(
                    f"channel {channel!r} of topic {topic!r} has another consumer ({found}), and each would "
                    "get a part of the messages: give each process its own channel, or a shared history"
                )


async def _others(lookupd: str, topic: str, channel: str, timeout: float) -> str | None:
    """Where somebody is on the channel; None for nobody."""
    async with LookupdHttpAsync(lookupd, timeout=timeout) as directory:
        nodes = (await directory.lookup(topic)).producers
    for node in nodes:
        async with NsqdHttpAsync(node.http_address, timeout=timeout) as nsqd:
            stats = await nsqd.stats(topic=topic, channel=channel)
        for found in (each for known in stats.topics for each in known.channels):
            if found.client_count:
                names = ", ".join(client.hostname or client.remote_address for client in found.clients)
                return f"{names or found.client_count} at {node.http_address}"
    return None
