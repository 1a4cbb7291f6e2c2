"""A configuration renewed while it is in use: under load, with mistakes, with a sink that is down."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from tornado.web import RequestHandler

from gateways.ship.config import ShipConfig
from gateways.ship.config_file import load_config
from gateways.ship.gateway import ShipGateway
from harness.embedded import EmbeddedNsqd
from harness.polling import eventually_async
from harness.ship_file import edit, lines, numbered, publish
from harness.sinks import LogService
from nsqgw.deadline import within
from nsqgw.errors import ConfigError, NotConnected
from nsqgw.service.lifecycle import ReloadingService, ServiceWithPages


async def test_a_reload_under_load_loses_and_doubles_nothing(
    nsqd: EmbeddedNsqd, file: Path, tmp_path: Path
) -> None:
    gateway = ShipGateway(load_config(file), lambda: load_config(file))
    assert isinstance(gateway, ReloadingService)
    assert isinstance(gateway, ServiceWithPages)
    await gateway.start()
    audit = gateway.running()[1].pipeline
    first, second = tmp_path / "app.log", tmp_path / "second.log"
    publish(nsqd, "app", numbered(0, 3000))
    await eventually_async(lambda: lines(first))
    edit(file, "app.log", "second.log")
    await gateway.reload()
    publish(nsqd, "audit", numbered(0, 10))
    await eventually_async(lambda: len(lines(first, second)) >= 3000)
    await eventually_async(lambda: len(lines(tmp_path / "audit.log")) == 10)
    assert gateway.running()[0].pipeline is audit, "what did not change goes on"
    await gateway.stop()
    assert lines(second)
    assert Counter(lines(first, second)) == Counter(numbered(0, 3000))


async def test_a_file_that_cannot_be_used_changes_nothing(
    nsqd: EmbeddedNsqd, file: Path, tmp_path: Path
) -> None:
    gateway = ShipGateway(load_config(file), lambda: load_config(file))
    await gateway.start()
    before, shown = gateway.running(), gateway.settings()
    edit(file, 'channel = "archive"', 'chanel = "archive"')
    with pytest.raises(ConfigError, match="did you mean channel"):
        await gateway.reload()
    assert [each.pipeline for each in gateway.running()] == [each.pipeline for each in before]
    assert (gateway.settings(), gateway.reloads) == (shown, {"done": 0, "failed": 1})
    await gateway.stop()


async def test_what_works_is_not_stopped_for_what_would_not(
    nsqd: EmbeddedNsqd, file: Path, tmp_path: Path
) -> None:
    gateway = ShipGateway(load_config(file), lambda: load_config(file))
    await gateway.start()
    before = [each.pipeline for each in gateway.running()]
    edit(file, "/audit.log", "/missing/audit.log")
    edit(file, "/app.log", "/second.log")
    with pytest.raises(ConfigError, match=r"pipeline audit would not work: sink audit: .*create the folder"):
        await gateway.reload()
    assert [each.pipeline for each in gateway.running()] == before
    publish(nsqd, "app", numbered(0, 10))
    publish(nsqd, "audit", numbered(0, 10))
    await eventually_async(lambda: len(lines(tmp_path / "app.log")) == 10)
    await eventually_async(lambda: len(lines(tmp_path / "audit.log")) == 10)
    assert gateway.ready() is None
    await gateway.stop()


async def test_a_reload_while_a_sink_is_down_ends_and_mends_it(
    nsqd: EmbeddedNsqd, file: Path, tmp_path: Path
) -> None:
    edit(file, "[service]", '[service]\ndrain_timeout = "1s"')
    edit(file, f'type = "file"\npath = "{tmp_path}/app.log"', 'type = "http"\nurl = "http://127.0.0.1:1"')
    gateway = ShipGateway(load_config(file), lambda: load_config(file))
    await gateway.start()
    publish(nsqd, "app", numbered(0, 10))
    await eventually_async(lambda: gateway.ready() is not None)
    edit(file, 'type = "http"\nurl = "http://127.0.0.1:1"', f'type = "file"\npath = "{tmp_path}/app.log"')
    await within(20, gateway.reload())
    await eventually_async(lambda: set(lines(tmp_path / "app.log")) == set(numbered(0, 10)))
    await gateway.stop()


async def test_when_what_is_new_fails_after_all_the_old_configuration_is_back(
    nsqd: EmbeddedNsqd, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = ShipGateway(load_config(file), lambda: load_config(file))
    await gateway.start()
    edit(file, "/audit.log", "/missing/audit.log")
    edit(file, "/app.log", "/second.log")

    async def check_nothing(*_: object) -> None: ...

    monkeypatch.setattr("gateways.ship.gateway.check_replacement", check_nothing)
    with pytest.raises(Exception, match="create the folder"):
        await gateway.reload()
    publish(nsqd, "app", numbered(0, 10))
    publish(nsqd, "audit", numbered(0, 10))
    await eventually_async(lambda: len(lines(tmp_path / "app.log")) == 10)
    await eventually_async(lambda: len(lines(tmp_path / "audit.log")) == 10)
    assert gateway.ready() is None
    await gateway.stop()


async def test_when_neither_configuration_starts_the_service_ends(
    nsqd: EmbeddedNsqd, file: Path, tmp_path: Path
) -> None:
    edit(file, "[service]", '[service]\nconnect_timeout = "0.2s"')
    gateway = ShipGateway(load_config(file), lambda: load_config(file))
    await gateway.start()
    over = asyncio.create_task(gateway.wait_closed())
    edit(file, "app.log", "second.log")
    nsqd.stop()
    await eventually_async(lambda: gateway.ready() is not None)
    with pytest.raises(NotConnected):
        await gateway.reload()
    with pytest.raises(NotConnected):
        await within(5, over)
    await gateway.stop()


async def test_a_changed_file_or_secret_is_followed(
    nsqd: EmbeddedNsqd, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = tmp_path / "name"
    secret.write_text("app.log")
    edit(file, "[service]", '[service]\nreload_interval = "20ms"')
    edit(file, f"{tmp_path}/app.log", f"{tmp_path}/SECRET[here.name]")
    file.write_text(file.read_text() + f'[secret.here]\ntype = "file"\nfolder = "{tmp_path}"\n')
    gateway = ShipGateway(load_config(file), lambda: load_config(file))
    await gateway.start()
    edit(secret, "app", "second")
    await eventually_async(lambda: gateway.reloads["done"] == 1)
    publish(nsqd, "app", numbered(0, 10))
    await eventually_async(lambda: len(lines(tmp_path / "second.log")) == 10)
    edit(file, 'name = "audit"', 'nam = "audit"')
    await eventually_async(lambda: gateway.reloads["failed"] == 1)
    edit(file, 'nam = "audit"', 'name = "renamed"')
    await eventually_async(lambda: [each.name for each in gateway.running()] == ["app", "renamed"])
    assert gateway.reloads == {"done": 2, "failed": 1}, "a bad file is told once"
    await gateway.stop()


async def test_a_mistake_while_a_file_is_read_does_not_end_the_following(
    nsqd: EmbeddedNsqd, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edit(file, "[service]", '[service]\nreload_interval = "20ms"')
    mistakes = [RecursionError("too deep")] * 2

    def load() -> ShipConfig:
        if mistakes:
            raise mistakes.pop()
        return load_config(file)

    gateway = ShipGateway(load_config(file), load)
    await gateway.start()
    await eventually_async(lambda: gateway.reloads["failed"] == 1)
    assert "too deep" in caplog.text
    edit(file, 'name = "audit"', 'name = "renamed"')
    await eventually_async(lambda: [each.name for each in gateway.running()] == ["app", "renamed"])
    await gateway.stop()


async def test_a_reload_that_is_cut_short_does_not_cut_the_drain(nsqd: EmbeddedNsqd, file: Path) -> None:
    may_answer, logs = asyncio.Event(), LogService()

    async def take_time(handler: RequestHandler) -> None:
        await may_answer.wait()

    logs.respond = take_time
    edit(file, f'type = "file"\npath = "{file.parent}/app.log"', f'type = "http"\nurl = "{logs.url}"')
    gateway = ShipGateway(load_config(file), lambda: load_config(file))
    await gateway.start()
    pipeline = gateway.running()[0].pipeline
    publish(nsqd, "app", numbered(0, 5))
    await eventually_async(lambda: logs.requests)
    edit(file, "max_in_flight = 100", "max_in_flight = 50")
    reload = asyncio.create_task(gateway.reload())
    await eventually_async(lambda: [each.name for each in gateway.running()] == ["audit"])
    reload.cancel()
    await asyncio.wait({reload})
    stop = asyncio.create_task(gateway.stop())
    await asyncio.sleep(0)
    may_answer.set()
    await within(10, stop)
    assert (pipeline.counters.finished.total(), pipeline.counters.requeued.total()) == (5, 0)
    await logs.close()


async def test_pipelines_come_and_go(nsqd: EmbeddedNsqd, file: Path, tmp_path: Path) -> None:
    gateway = ShipGateway(load_config(file), lambda: load_config(file))
    await gateway.start()
    over = asyncio.create_task(gateway.wait_closed())
    edit(file, 'name = "audit"', 'name = "renamed"')
    await gateway.reload()
    assert [each.name for each in gateway.running()] == ["app", "renamed"]
    publish(nsqd, "audit", numbered(0, 10))
    await eventually_async(lambda: len(lines(tmp_path / "audit.log")) == 10)
    assert not over.done()
    over.cancel()
    await gateway.stop()
