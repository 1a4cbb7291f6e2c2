"""Sends clients off before their tokens expire: by user, by client, by channel."""

from __future__ import annotations

import logging

from gateways.push.context import Context
from gateways.push.multiplex import MultiplexSession
from gateways.push.pattern import covers
from gateways.push.session import Ending, Session

logger = logging.getLogger(__name__)


def disconnect(
    context: Context, *, user: str | None = None, client: str | None = None, channel: str | None = None
) -> int:
    """Close the connections that fit all that is given, and say how many there were.

    With `channel` a multiplexed connection loses what it follows of it, a pattern that has it too, and goes
    on. Nothing keeps a client from coming back with a token that is still good.
    """
    count = 0
    for connection in context.connections:
        if not isinstance(connection, Session) or (user is not None and connection.visitor.user != user):
            continue
        if client is not None and getattr(connection, "client", None) != client:
            continue
        followed = [] if channel is None else [each for each in connection.topics if covers(each, channel)]
        if channel is not None and not followed:
            continue
        count += 1
        if isinstance(connection, MultiplexSession) and followed:
            for each in followed:
                connection.unsubscribed(each)
        else:
            connection.close(Ending.DISCONNECTED)
    logger.warning("%d connections were sent off", count)
    return count
