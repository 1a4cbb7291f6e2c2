"""A channel, and consumers to join it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compat.nsqd.backend import MemoryBackend
from compat.nsqd.channel import Channel
from harness.channels import Inbox, Woken, memory_backend


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def make_channel(woken: Woken) -> Callable[..., Channel]:
    def make(
        name: str = "ch",
        mem_queue_size: int = 10,
        max_msg_timeout: float = 900.0,
        open_backend: Callable[..., MemoryBackend] = memory_backend,
    ) -> Channel:
        return Channel(
            "t",
            name,
            mem_queue_size=mem_queue_size,
            max_msg_timeout=max_msg_timeout,
            wake=woken,
            open_backend=open_backend,
        )

    return make


@pytest.fixture
def channel(make_channel: Callable[..., Channel]) -> Channel:
    return make_channel()


@pytest.fixture
def join(channel: Channel) -> Callable[..., Inbox]:
    """Subscribes a consumer to the channel and sets its RDY."""

    def subscribe(rdy: int, *, to: Channel = channel, **settings: float) -> Inbox:
        inbox = Inbox(rdy, **settings)  # type: ignore[arg-type]
        to.add_consumer(inbox.consumer)
        to.refresh(inbox.consumer)
        return inbox

    return subscribe
