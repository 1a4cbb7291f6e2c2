"""The same work done with ansq: its connection, since its reader cannot ask for more than RDY 1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import ansq
from ansq.tcp.connection import open_connection

from perf.compare.clients.iterating import run


async def messages(work: dict[str, Any]) -> AsyncIterator[Any]:
    host, _, port = work["address"].rpartition(":")
    connection = await open_connection(host, int(port))
    await connection.subscribe(work["topic"], "ch", work["max_in_flight"])
    async for message in connection.messages():
        yield message


async def connect(work: dict[str, Any]) -> Any:
    return await ansq.create_writer([work["address"]])


if __name__ == "__main__":
    asyncio.run(run(messages, connect))
