"""The same work done with asyncnsq, in the way its documentation shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncnsq

from perf.compare.clients.iterating import run


async def messages(work: dict[str, Any]) -> AsyncIterator[Any]:
    reader = await asyncnsq.create_reader([work["address"]], max_in_flight=work["max_in_flight"])
    await reader.subscribe(work["topic"], "ch")
    async for message in reader.messages():
        yield message


async def connect(work: dict[str, Any]) -> Any:
    host, _, port = work["address"].rpartition(":")
    return await asyncnsq.create_writer(host, int(port))


if __name__ == "__main__":
    asyncio.run(run(messages, connect))
