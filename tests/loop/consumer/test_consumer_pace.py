"""RDY and backoff on the wire, against scripted nsqds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from harness.consuming import Subject
from harness.polling import eventually_async
from harness.scripted import HEARTBEAT, OK, ScriptedNsqd, Session, error
from nsqgw import Message
from nsqgw.errors import Closed
from nsqgw.instrument import BackoffChanged, Disconnected


@contextlib.asynccontextmanager
async def fakes(count: int, **features: int) -> AsyncIterator[list[ScriptedNsqd]]:
    async with contextlib.AsyncExitStack() as running:
        journal: list[tuple[ScriptedNsqd, str]] = []
        yield [
            await running.enter_async_context(ScriptedNsqd(journal=journal, **features)) for _ in range(count)
        ]


async def subscribed(servers: list[ScriptedNsqd]) -> list[Session]:
    """Their first sessions, once SUB has arrived."""
    sessions = [await server.session() for server in servers]
    for session in sessions:
        await session.received("SUB")
    return sessions


async def rdy_becomes(sessions: list[Session], *rdys: int) -> None:
    await eventually_async(
        lambda: [session.rdy or 0 for session in sessions] == list(rdys),
        what=f"RDY {rdys}: {[session.lines('RDY') for session in sessions]}",
    )


def finish(message: Message) -> None:
    message.finish()


class Stumbling:
    """A handler that fails as long as it is told to."""

    def __init__(self, failing: bool = True) -> None:
        self.failing = failing
        self.attempts = 0

    def __call__(self, message: Message) -> None:
        self.attempts += 1
        if self.failing:
            raise RuntimeError("stumbled")


async def test_c_cli_03_heartbeats_are_answered_while_all_handlers_wait(fake: ScriptedNsqd) -> None:
    release = asyncio.Event()

    async def wait(message: Message) -> None:
        await release.wait()

    async with Subject(wait, fake, max_in_flight=5):
        session = await fake.subscribed()
        session.deliver(1, 2, 3, 4, 5)
        session.send(HEARTBEAT * 3)
        await session.received("NOP", 3)
        assert session.lines("FIN") == []
        release.set()
        await session.received("FIN", 5)


async def test_c_cli_04_silence_closes_and_reconnects(fake: ScriptedNsqd) -> None:
    from nsqgw import ConnectionConfig

    async with Subject(finish, fake, connection=ConnectionConfig(heartbeat_interval=1)) as consumer:
        await fake.session(1)
        (lost, *_) = consumer.told(Disconnected)
        assert "silent for 2 s" in str(lost.error)


async def test_sub_is_confirmed_before_rdy(fake: ScriptedNsqd) -> None:
    fake.answers["SUB"] = None
    async with Subject(finish, fake, max_in_flight=7) as consumer:
        session = await fake.session()
        await session.received("SUB")
        session.send(HEARTBEAT)
        await session.received("NOP")
        assert session.commands == ["IDENTIFY", "SUB t ch", "NOP"]
        session.send(OK)
        await session.seen("RDY 7")
        await consumer.wait_connected(5)


async def test_c_cli_07_shares_follow_the_connections() -> None:
    async with fakes(3) as servers:
        servers[2].answers["SUB"] = None
        async with Subject(finish, *servers, max_in_flight=10):
            sessions = await subscribed(servers)
            await rdy_becomes(sessions[:2], 5, 5)
            sessions[2].send(OK)
            await rdy_becomes(sessions, 3, 3, 3)
            servers[0].answers["SUB"] = None
            sessions[0].drop()
            await rdy_becomes(sessions[1:], 5, 5)


async def test_c_cli_08_and_11_what_is_told_never_exceeds_the_limit_nor_repeats(fake: ScriptedNsqd) -> None:
    """In the order in which the consumer tells it, over connections that come and go."""
    async with fakes(4) as servers, Subject(finish, *servers, max_in_flight=6) as consumer:
        told: dict[object, int] = {}
        changes: list[tuple[int, bool]] = []
        send = consumer._flow._send

        def watched(decided: list[tuple[object, int]]) -> None:
            for subscription, rdy in decided:
                repeated = told.get(subscription, 0) == rdy
                told[subscription] = rdy
                living = [told[other] for other in told if not other.closed]  # type: ignore[attr-defined]
                changes.append((sum(living), repeated))
            send(decided)  # type: ignore[arg-type]

        consumer._flow._send = watched  # type: ignore[method-assign]
        sessions = await subscribed(servers)
        await rdy_becomes(sessions, 1, 1, 1, 1)
        for server in servers[:2]:
            server.sessions[0].drop()
            await server.subscribed(1)
        consumer.set_max_in_flight(3)
        consumer.set_max_in_flight(6)
        consumer.set_max_in_flight(6)
        assert changes
        assert max(total for total, _ in changes) <= 6
        assert not any(repeated for _, repeated in changes)


async def test_c_cli_09_rdy_stays_below_the_servers_limit() -> None:
    async with fakes(1, max_rdy_count=20) as (server,), Subject(finish, server, max_in_flight=500):
        assert (await server.subscribed()).lines("RDY") == ["RDY 20"]


async def test_c_cli_10_one_for_three_goes_round() -> None:
    async with fakes(3) as servers:
        options = {"low_rdy_idle_timeout": 0.02, "rdy_redistribute_interval": 0.01}
        async with Subject(finish, *servers, max_in_flight=1, **options):
            sessions = await subscribed(servers)
            for session in sessions:
                await session.seen("RDY 1", times=2)
            for session in sessions:
                assert set(session.lines("RDY")) == {"RDY 0", "RDY 1"}
                assert all(one != other for one, other in pairwise(session.lines("RDY")))


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_c_cli_12_one_failure_stops_all_and_one_message_probes(asynchronous: bool) -> None:
    async with fakes(3) as servers:
        handler = Stumbling()

        async def handle(message: Message) -> None:
            handler(message)

        options = {"max_in_flight": 9, "backoff_multiplier": 0.02, "backoff_jitter": 0.0}
        async with Subject(handle if asynchronous else handler, *servers, **options) as consumer:
            sessions = await subscribed(servers)
            await rdy_becomes(sessions, 3, 3, 3)
            sessions[0].deliver(1)
            for session in sessions:
                await session.seen("RDY 0")
            assert sessions[0].lines("REQ") == [f"REQ {1:016x} 90000"]
            await eventually_async(lambda: [s.rdy for s in sessions].count(1) == 1)
            probing = next(session for session in sessions if session.rdy == 1)
            handler.failing = False
            probing.deliver(2)
            await rdy_becomes(sessions, 3, 3, 3)
            paused, resumed = consumer.told(BackoffChanged)
            assert (paused.level, resumed.level, resumed.pause) == (1, 0, 0.0)
            assert 0 < paused.pause <= 0.04


async def test_c_cli_13_every_level_needs_its_success(fake: ScriptedNsqd) -> None:
    handler = Stumbling()
    async with Subject(handler, fake, max_in_flight=8, backoff_multiplier=0.005) as consumer:
        session = await fake.subscribed()
        session.deliver(1)
        await session.seen("RDY 1", 1)
        session.deliver(2)
        await session.seen("RDY 1", 2)
        handler.failing = False
        session.deliver(3)
        await session.seen("RDY 1", 3)
        session.deliver(4)
        await session.seen("RDY 8", 2)
        assert [fact.level for fact in consumer.told(BackoffChanged)] == [1, 2, 1, 0]
        assert session.lines("RDY") == [f"RDY {n}" for n in (8, 0, 1, 0, 1, 0, 1, 8)] or (
            session.lines("RDY") == [f"RDY {n}" for n in (8, 0, 1, 0, 1, 0, 1, 0, 8)]
        )


async def test_c_cli_14_failures_arriving_together_count_once(fake: ScriptedNsqd) -> None:
    async with Subject(Stumbling(), fake, max_in_flight=20, backoff_multiplier=30.0) as consumer:
        session = await fake.subscribed()
        session.deliver(*range(10))
        await session.received("REQ", 10)
        assert [fact.level for fact in consumer.told(BackoffChanged)] == [1]
        assert session.lines("RDY") == ["RDY 20", "RDY 0"]


async def test_c_cli_15_a_neutral_requeue_leaves_rdy_alone(fake: ScriptedNsqd) -> None:
    async def give_back(message: Message) -> None:
        message.requeue(1.5, backoff=False)

    async with Subject(give_back, fake, max_in_flight=5) as consumer:
        session = await fake.subscribed()
        session.deliver(1, 2)
        assert await session.received("REQ", 2) == [f"REQ {1:016x} 1500", f"REQ {2:016x} 1500"]
        assert session.lines("RDY") == ["RDY 5"]
        assert consumer.told(BackoffChanged) == []


async def test_c_cli_16_backoff_can_be_switched_off(fake: ScriptedNsqd) -> None:
    async with Subject(Stumbling(), fake, max_in_flight=5, max_backoff_duration=0):
        session = await fake.subscribed()
        for number in range(3):
            session.deliver(number)
            await session.received("REQ", number + 1)
        assert session.lines("RDY") == ["RDY 5"]


async def test_a_new_connection_in_backoff_gets_nothing() -> None:
    async with fakes(2) as servers:
        servers[1].answers["SUB"] = None
        async with Subject(Stumbling(), *servers, max_in_flight=8, backoff_multiplier=30.0):
            sessions = await subscribed(servers)
            await sessions[0].seen("RDY 8")
            sessions[0].deliver(1)
            await sessions[0].seen("RDY 0")
            sessions[1].send(OK + HEARTBEAT)
            await sessions[1].received("NOP")
            assert sessions[1].lines("RDY") == []


async def test_c_cli_31_zero_stops_and_more_resumes_on_the_same_connection(fake: ScriptedNsqd) -> None:
    async with Subject(finish, fake, max_in_flight=0) as consumer:
        session = await fake.session()
        await consumer.wait_connected(5)
        assert session.lines("RDY") == []
        consumer.set_max_in_flight(4)
        await session.seen("RDY 4")
        consumer.set_max_in_flight(0)
        await session.seen("RDY 0")
        consumer.set_max_in_flight(3)
        await session.seen("RDY 3")
        assert len(fake.sessions) == 1


async def test_raising_max_in_flight_raises_concurrency(fake: ScriptedNsqd) -> None:
    """Without an explicit `concurrency` it is max_in_flight, also when that changes."""
    running = 0
    release = asyncio.Event()

    async def handle(message: Message) -> None:
        nonlocal running
        running += 1
        await release.wait()

    async with Subject(handle, fake, max_in_flight=0) as consumer:
        await consumer.wait_connected(5)
        consumer.set_max_in_flight(20)
        session = await fake.subscribed()
        session.deliver(*range(20))
        await eventually_async(lambda: running == 20)
        release.set()


async def test_pause_and_resume(fake: ScriptedNsqd) -> None:
    async with Subject(finish, fake, max_in_flight=4) as consumer:
        session = await fake.subscribed()
        consumer.pause()
        await session.seen("RDY 0")
        consumer.set_max_in_flight(6)
        session.deliver(1)
        await session.received("FIN")
        assert session.lines("RDY") == ["RDY 4", "RDY 0"]
        consumer.resume()
        await session.seen("RDY 6")


async def test_pace_needs_a_running_consumer(fake: ScriptedNsqd) -> None:
    consumer = Subject(finish, fake)
    for call in (consumer.pause, consumer.resume, lambda: consumer.set_max_in_flight(1)):
        with pytest.raises(Closed, match="async with"):
            call()


async def test_c_cli_21_a_fatal_error_closes_and_reconnects(fake: ScriptedNsqd) -> None:
    async with Subject(finish, fake) as consumer:
        session = await fake.subscribed()
        session.send(error("E_INVALID RDY count 200 out of range 0-100"))
        await session.end()
        await fake.subscribed(1)
        (lost,) = consumer.told(Disconnected)
        assert "E_INVALID RDY count 200" in str(lost.error)


async def test_a_refusal_right_behind_the_confirmation_leaves_no_ghost() -> None:
    """The confirmation and the end come in one read: that connection must not keep a share."""
    async with fakes(2) as servers:
        servers[0].answers["SUB"] = OK + error("E_INVALID no more")
        async with Subject(finish, *servers, max_in_flight=10) as consumer:
            await servers[0].session(3)
            session = await servers[1].subscribed()
            await rdy_becomes([session], 10)
            assert [connection.address for connection in consumer.stats.connections] == [servers[1].address]
