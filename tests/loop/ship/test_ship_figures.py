"""What ship counts, against an nsqd that follows a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client import generate_latest

from gateways.ship.named_sink import NamedSink
from gateways.ship.service import ShipService
from gateways.ship.settings import ShipSettings
from gateways.ship.sinks.file import FileSettings
from harness.log_services import Reply, running
from harness.polling import eventually_async
from harness.scripted import ScriptedNsqd, error
from nsqgw.service.admin import service_registry


def ship(fake: ScriptedNsqd, folder: Path, **settings: Any) -> ShipService:
    """Topic `events` of `fake` to a file."""
    sinks = (NamedSink(to=FileSettings(path=str(folder / "out"))),)
    common = {"topics": ("events",), "channel": "archive", "sinks": sinks}
    nsqds = {"nsqd_tcp_addresses": (fake.address,)}
    return ShipService(ShipSettings.model_validate({**common, **nsqds, **settings}))


async def test_answers_that_nsqd_refuses_afterwards_are_late(tmp_path: Path) -> None:
    async with ScriptedNsqd() as fake:
        fake.answers["FIN"] = lambda session, line: error(f"E_FIN_FAILED {line} failed ID not in flight")
        service = ship(fake, tmp_path, batch_max_messages=2)
        await service.start()
        session = await fake.subscribed()
        session.send(error("E_TOUCH_FAILED TOUCH failed ID not in flight"))  # its FIN will be refused as well
        session.deliver(1, 2)
        assert service.pipeline is not None
        counters, stream = service.pipeline.counters, ("events", "archive")
        await eventually_async(lambda: counters.late[stream] == 2)
        assert counters.finished[stream] == 2
        await service.stop()
        assert counters.late[stream] == 2


async def test_counters_are_there_before_the_first_message(tmp_path: Path) -> None:
    async with ScriptedNsqd() as fake:
        service = ship(fake, tmp_path)
        await service.start()
        lines = generate_latest(service_registry(service)).decode().splitlines()
        await service.stop()
    for sample in (
        'messages_late_total{channel="archive",pipeline="ship",topic="events"}',
        'messages_requeued_total{channel="archive",pipeline="ship",reason="budget",topic="events"}',
        'messages_requeued_total{channel="archive",pipeline="ship",reason="drain",topic="events"}',
        'batches_total{outcome="blocked",pipeline="ship",sink="file"}',
        'retries_total{pipeline="ship",reason="unsure",sink="file"}',
        'messages_touched_total{pipeline="ship"}',
    ):
        assert f"nsqgw_ship_{sample} 0.0" in lines


async def test_batches_and_how_long_messages_took(tmp_path: Path) -> None:
    async with ScriptedNsqd() as fake:
        service = ship(fake, tmp_path, batch_max_messages=2)
        await service.start()
        session = await fake.subscribed()
        session.deliver(1, 2)
        assert service.pipeline is not None
        counters, stream = service.pipeline.counters, ("events", "archive")
        await eventually_async(lambda: counters.finished[stream] == 2)
        lines = generate_latest(service_registry(service)).decode().splitlines()
        await service.stop()
    sink = 'pipeline="ship",sink="file"}'
    for sample in (
        f"batch_events_sum{{{sink} 2.0",
        f"batch_bytes_count{{{sink} 1.0",
        f"end_to_end_seconds_count{{{sink} 2.0",
    ):
        assert f"nsqgw_ship_{sample}" in lines
    assert f'nsqgw_ship_events_failed_total{{outcome="retry",{sink} 0.0' in lines
    assert 'nsqgw_ship_rdy{channel="archive",pipeline="ship",topic="events"} 2500.0' in lines


async def test_answers_by_status_and_why_batches_are_tried_again(tmp_path: Path) -> None:
    async with ScriptedNsqd() as fake, running("loggly") as (loggly, settings):
        loggly.script = [Reply(raw=b""), Reply(503)]
        sink = NamedSink.model_validate({"to": settings, "retry": {"max_backoff": 0.01}})
        service = ship(fake, tmp_path, sinks=(sink,), batch_max_messages=1)
        await service.start()
        (await fake.subscribed()).deliver(1)
        assert service.pipeline is not None
        counters = service.pipeline.counters
        await eventually_async(lambda: counters.finished.total() == 1)
        lines = generate_latest(service_registry(service)).decode().splitlines()
        await service.stop()
    for sample in (
        'requests_total{pipeline="ship",sink="loggly 127.0.0.1",status="503"}',
        'requests_total{pipeline="ship",sink="loggly 127.0.0.1",status="none"}',
        'requests_total{pipeline="ship",sink="loggly 127.0.0.1",status="200"}',
        'retries_total{pipeline="ship",reason="retry",sink="loggly 127.0.0.1"}',
        'retries_total{pipeline="ship",reason="unsure",sink="loggly 127.0.0.1"}',
    ):
        assert f"nsqgw_ship_{sample} 1.0" in lines


async def test_messages_that_are_held_are_touched(tmp_path: Path) -> None:
    async with ScriptedNsqd(msg_timeout=200) as fake, running("loggly") as (loggly, settings):
        loggly.script = [Reply(503)] * 100
        sink = NamedSink.model_validate({"to": settings})
        service = ship(fake, tmp_path, sinks=(sink,), batch_max_messages=1)
        await service.start()
        (await fake.subscribed()).deliver(1)
        await eventually_async(lambda: (now := service.running()) is not None and now.touched > 0)
        await service.stop()
