"""The end of a listening port, without losing a connection that was just accepted."""

from __future__ import annotations

import asyncio

_ROUNDS_FROM_ACCEPT_TO_PROTOCOL = 3
"""asyncio takes some rounds of the loop until an accepted connection is known to its protocol."""


async def stop_accepting(servers: list[asyncio.Server]) -> None:
    """Close the ports; when it returns, `connection_made` was called for all that was accepted.

    asyncio forgets a connection whose server is closed within those rounds, and leaves its socket open.
    """
    loop = asyncio.get_running_loop()
    for server in servers:
        for each in server.sockets:
            loop.remove_reader(each.fileno())
    for _ in range(_ROUNDS_FROM_ACCEPT_TO_PROTOCOL):
        await asyncio.sleep(0)
    for server in servers:
        server.close()
    servers.clear()
