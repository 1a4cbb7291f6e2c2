"""Consumers that find their nsqds by nsqlookupd (C-CLI-22, C-CLI-24)."""

from __future__ import annotations

from typing import Any

import pytest

from compat.threaded import ThreadedNsqlookupd
from harness.announcing import announce
from harness.consuming import Subject
from harness.polling import eventually_async
from harness.scripted import ScriptedNsqd
from nsqgw.errors import NotConnected
from nsqgw.instrument import ConnectFailed, LookupFailed
from nsqgw.lookup import discovery

POLLING: dict[str, Any] = {"lookupd_poll_interval": 0.05, "lookupd_poll_jitter": 0.0}


def nothing(message: object) -> None:
    pass


def consumer_by(lookupd: ThreadedNsqlookupd, **options: Any) -> Subject:
    return Subject(nothing, lookupd_http_addresses=[lookupd.http_address], **(POLLING | options))


class Polls:
    """Counts the answers that were taken from nsqlookupds."""

    def __init__(self) -> None:
        self.answered = 0

    async def further(self, count: int) -> None:
        """Until so many more questions were answered; one under way now is not counted."""
        goal = self.answered + 1 + count
        await eventually_async(lambda: self.answered >= goal)


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> Polls:
    counted, ask = Polls(), discovery.ask

    async def counting(*arguments: Any) -> Any:
        answer = await ask(*arguments)
        counted.answered += 1
        return answer

    monkeypatch.setattr(discovery, "ask", counting)
    return counted


async def test_c_cli_22_an_unknown_topic_is_no_failure(
    nsqlookupd: ThreadedNsqlookupd, fake: ScriptedNsqd
) -> None:
    async with consumer_by(nsqlookupd) as consumer:
        with pytest.raises(NotConnected) as caught:
            await consumer.wait_connected(0.3)
        assert f"nsqlookupd at {nsqlookupd.http_address} knows no nsqd with topic 't'" in str(caught.value)
        assert consumer.told(LookupFailed) == []
        with announce(nsqlookupd, fake):
            await consumer.wait_connected(10)


async def test_c_cli_24_a_vanished_nsqd_keeps_its_living_connection(
    nsqlookupd: ThreadedNsqlookupd, fake: ScriptedNsqd, polls: Polls
) -> None:
    """And a lost one is tried again for a while: who restarts is not named at once."""
    async with consumer_by(nsqlookupd):
        with announce(nsqlookupd, fake):
            session = await fake.subscribed()
        await polls.further(3)  # they do not name it any more
        session.deliver(1)
        await session.received("FIN")
        assert not session.ended
        session.drop()
        await fake.subscribed(1)


async def test_an_nsqd_restarts_long_before_the_next_poll(
    nsqlookupd: ThreadedNsqlookupd, fake: ScriptedNsqd
) -> None:
    """Polls come once a minute: neither its absence nor an empty answer of nsqlookupd ends the trying."""
    async with consumer_by(nsqlookupd, lookupd_poll_interval=60.0) as consumer:
        with announce(nsqlookupd, fake):
            await fake.subscribed()
        await fake.stop()
        await eventually_async(lambda: len(consumer.told(ConnectFailed)) >= 3)
        await fake.start()
        await fake.subscribed(1)


async def test_an_nsqd_that_moved_is_found_long_before_the_next_poll(
    nsqlookupd: ThreadedNsqlookupd, fake: ScriptedNsqd
) -> None:
    """Nobody serves the topic: nsqlookupd is asked again and again, not only once."""
    async with consumer_by(nsqlookupd, lookupd_poll_interval=60.0) as consumer, ScriptedNsqd() as moved:
        with announce(nsqlookupd, fake):
            await fake.subscribed()
        await fake.stop()
        await eventually_async(lambda: len(consumer.told(ConnectFailed)) >= 3)
        with announce(nsqlookupd, moved):
            await moved.subscribed()


async def test_an_nsqd_named_twice_is_connected_once(
    nsqlookupd: ThreadedNsqlookupd, fake: ScriptedNsqd, polls: Polls
) -> None:
    with announce(nsqlookupd, fake):
        async with consumer_by(nsqlookupd, nsqd_tcp_addresses=[fake.address, fake.address]):
            await fake.subscribed()
            await polls.further(3)  # they name it once more
            assert len(fake.sessions) == 1


async def test_a_dead_nsqlookupd_is_told_and_does_not_hold_up_the_rest(fake: ScriptedNsqd) -> None:
    options = POLLING | {"lookupd_http_addresses": ["127.0.0.1:1"]}
    async with Subject(nothing, fake, **options) as consumer:
        await consumer.wait_connected(10)
        await eventually_async(lambda: consumer.told(LookupFailed))
        assert consumer.told(LookupFailed)[0].address == "127.0.0.1:1"
