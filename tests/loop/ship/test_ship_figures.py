"""What ship counts, against an nsqd that follows a script."""

from __future__ import annotations

from pathlib import Path

from gateways.ship.destination import FileSettings
from gateways.ship.service import ShipService
from gateways.ship.settings import ShipSettings
from harness.polling import eventually_async
from harness.scripted import ScriptedNsqd, error


async def test_answers_that_nsqd_refuses_afterwards_are_late(tmp_path: Path) -> None:
    async with ScriptedNsqd() as fake:
        fake.answers["FIN"] = lambda session, line: error(f"E_FIN_FAILED {line} failed ID not in flight")
        service = ShipService(
            ShipSettings(
                topics=("events",),
                channel="archive",
                to=FileSettings(path=str(tmp_path / "out")),
                nsqd_tcp_addresses=(fake.address,),
                batch_max_messages=2,
            )
        )
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
