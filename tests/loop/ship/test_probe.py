"""What `validate` finds out of services over HTTP without an event, and with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateways.pipeline.sink import SinkUnusable
from gateways.service.probe import Finding
from gateways.ship.config import ShipConfig
from gateways.ship.named_sink import NamedSink
from gateways.ship.probe import probe
from gateways.ship.settings import ShipSettings
from gateways.ship.trial_event import send_test_events
from harness.certificates import make_certificates
from harness.log_services import Reply, running
from harness.sending import opened

HEALTH = {
    "elasticsearch": "GET /",
    "splunk": "GET /services/collector/health",
    "clickhouse": "GET /ping",
    "s3": "HEAD /",
}


@pytest.mark.parametrize(("kind", "asked"), HEALTH.items())
async def test_a_service_is_asked_for_its_health(kind: str, asked: str) -> None:
    async with running(kind) as (service, settings), opened(settings) as sink:
        service.script = [Reply(200, "fine"), Reply(503, "ill"), Reply(401, "who?")]
        await sink.probe()
        for words in ("HTTP 503 Service Unavailable", "HTTP 401 Unauthorized"):
            with pytest.raises(SinkUnusable, match=words):
                await sink.probe()
    method, _, path = asked.partition(" ")
    assert {request.method for request in service.requests} == {method}
    assert {request.path.rstrip("/") or "/" for request in service.requests} == {path} or kind == "s3"
    assert service.events == []


@pytest.mark.parametrize("kind", ["loggly", "loki", "datadog", "otlp"])
async def test_others_are_connected_to_and_asked_nothing(kind: str) -> None:
    async with running(kind) as (service, settings):
        async with opened(settings) as sink:
            await sink.probe()
        async with opened(settings | {"url": [settings["url"], "http://127.0.0.1:1"]}) as sink:
            with pytest.raises(SinkUnusable, match=r"http://127.0.0.1:1: .*refused"):
                await sink.probe()
    assert service.requests == []


async def test_a_certificate_of_strangers_is_told(tmp_path: Path) -> None:
    from tornado.httpserver import HTTPServer

    from nsqgw.service.listen import bound_address, listen

    server = HTTPServer(lambda request: None, ssl_options=make_certificates(tmp_path).serving)
    server.add_sockets(sockets := listen("127.0.0.1:0"))
    async with opened({"type": "http", "url": f"https://{bound_address(sockets)}/"}) as sink:
        with pytest.raises(SinkUnusable, match="its certificate is not accepted"):
            await sink.probe()
    server.stop()
    await server.close_all_connections()


def config_of(**sinks: dict[str, Any]) -> ShipConfig:
    named = [NamedSink.model_validate({"name": name, "to": to}) for name, to in sinks.items()]
    return ShipConfig(
        (
            ShipSettings(
                topics=("app.*",), channel="c", lookupd_http_addresses=("127.0.0.1:1",), sinks=tuple(named)
            ),
        )
    )


async def test_a_test_event_is_marked_and_goes_through_each_sink(tmp_path: Path) -> None:
    async with running("loggly") as (service, settings):
        sinks = {"log": settings | {"tags": ["{topic}"]}, "disk": {"type": "file", "path": f"{tmp_path}/out"}}
        findings = await send_test_events(config_of(**sinks, bad=settings | {"token": "wrong"}))
    assert findings == [
        Finding("test event to sink log", None, "taken"),
        Finding("test event to sink disk", None, "taken"),
        Finding("test event to sink bad", "blocked: HTTP 403 Forbidden"),
    ]
    (event,) = service.events
    assert json.loads(event)["nsqgw_test"] is True
    assert event == (tmp_path / "out").read_bytes().strip()
    assert sorted(request.path.rpartition("bulk/")[2] for request in service.requests) == [
        f"{service.token}/tag/app./",
        "wrong/",
    ]


async def test_without_health_checks_sinks_are_opened_alone() -> None:
    down = {"type": "http", "url": "http://127.0.0.1:1/hush"}
    config = config_of(down=down)
    (finding,) = [each for each in await probe(config) if each.what == "sink down"]
    assert finding.trouble is not None
    assert "http://127.0.0.1:1" in finding.trouble
    assert "hush" not in finding.trouble
    (finding,) = [each for each in await probe(config, healthchecks=False) if each.what == "sink down"]
    assert (finding.trouble, finding.well) == (None, "opened")
