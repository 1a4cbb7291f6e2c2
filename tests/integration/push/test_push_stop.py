"""The end of a gateway whose feeds do not end as they should: browsers are told all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateways.push.config import PushConfig
from gateways.push.gateway import PushGateway
from nsqgw import Consumer

Stop = Callable[[Consumer, "float | None"], Awaitable[None]]


@pytest.fixture
async def gateway(nsqd) -> AsyncIterator[PushGateway]:
    started = PushGateway(
        PushConfig(
            topics=("events", "other"),
            listen="127.0.0.1:0",
            nsqd_tcp_addresses=(nsqd.tcp_address,),
            drain_timeout=1.0,
        )
    )
    await started.start()
    yield started
    await started.stop()


async def never(consumer: Consumer, timeout: float | None) -> None:
    await asyncio.Event().wait()


async def fails(consumer: Consumer, timeout: float | None) -> None:
    raise RuntimeError("a mistake")


@pytest.mark.parametrize(("stop", "said"), [(never, "did not stop within"), (fails, "a mistake")])
async def test_browsers_are_told_whatever_a_feed_does(
    gateway: PushGateway,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    stop: Stop,
    said: str,
) -> None:
    stopped: list[str] = []
    properly = Consumer.stop

    async def stop_one(consumer: Consumer, timeout: float | None = None) -> None:
        if consumer.topic == "events":
            await stop(consumer, timeout)
        await properly(consumer, timeout)
        stopped.append(consumer.topic)

    async with connect(f"ws://{gateway.address}/stream/events", proxy=None) as websocket:
        with monkeypatch.context() as patch:
            patch.setattr(Consumer, "stop", stop_one)
            stopping = asyncio.create_task(gateway.stop())
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(websocket.recv(), 10)
            await asyncio.wait_for(stopping, 10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.reason == "service restart"
    assert stopped == ["other"]
    assert said in caplog.text


async def test_cancelled_it_still_tells_them(gateway: PushGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connect(f"ws://{gateway.address}/stream/events", proxy=None) as websocket:
        with monkeypatch.context() as patch:
            patch.setattr(Consumer, "stop", lambda consumer, timeout=None: never(consumer, timeout))
            stopping = asyncio.create_task(gateway.stop())
            await asyncio.sleep(0)
            stopping.cancel()
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(websocket.recv(), 10)
            await asyncio.wait([stopping], timeout=10)
            assert stopping.cancelled()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.reason == "service restart"
