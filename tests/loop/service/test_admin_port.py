"""The admin port: what it shows is read at the moment it is asked."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import AsyncIterator, Iterable

import pytest
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from nsqgw.errors import ConfigError, ListenFailed
from nsqgw.service.admin import AdminPort, service_registry
from nsqgw.service.hosts import AllowedHosts


class Program:
    name = "test"

    def __init__(self) -> None:
        self.trouble: str | None = "starting"
        self.depth = 1.0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def ready(self) -> str | None:
        return self.trouble

    def metrics(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("nsqgw_test_depth", "Depth.", self.depth)

    def settings(self) -> dict[str, object]:
        return {"token": "***", "depth": self.depth}


@pytest.fixture
def program() -> Program:
    return Program()


def admin_port(program: Program, *names: str) -> AdminPort:
    return AdminPort(
        registry=service_registry(program),
        ready=program.ready,
        settings=program.settings,
        hosts=AllowedHosts("127.0.0.1:0", names),
    )


@pytest.fixture
async def port(program: Program) -> AsyncIterator[AdminPort]:
    admin = admin_port(program)
    admin.listen("127.0.0.1:0")
    yield admin
    await admin.close()


async def get(port: AdminPort, path: str, **headers: str) -> HTTPResponse:
    return await AsyncHTTPClient().fetch(f"http://{port.address}{path}", headers=headers, raise_error=False)


async def test_ping(port: AdminPort) -> None:
    assert (await get(port, "/ping")).body == b"OK"


async def test_ready_says_why_not(port: AdminPort, program: Program) -> None:
    answer = await get(port, "/ready")
    assert (answer.code, answer.body) == (503, b"starting\n")
    program.trouble = None
    answer = await get(port, "/ready")
    assert (answer.code, answer.body) == (200, b"ready\n")


async def test_metrics_are_read_at_scrape_time(port: AdminPort, program: Program) -> None:
    program.depth = 7.0
    answer = await get(port, "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    text = answer.body.decode()
    assert "nsqgw_test_depth 7.0" in text
    assert "nsqgw_build_info{" in text
    program.depth = 8.0
    open_metrics = await get(port, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert "nsqgw_test_depth 8.0" in open_metrics.body.decode()
    assert open_metrics.body.endswith(b"# EOF\n")


async def test_config_is_json(port: AdminPort) -> None:
    answer = await get(port, "/config")
    assert json.loads(answer.body) == {"token": "***", "depth": 1.0}


@pytest.mark.parametrize("path", ["/ping", "/ready", "/metrics", "/config", "/nowhere"])
async def test_a_page_whose_name_was_rebound_to_us_gets_nothing(port: AdminPort, path: str) -> None:
    answer = await get(port, path, Host="evil.example:9118", Origin="http://evil.example:9118")
    assert (answer.code, answer.body) == (
        421,
        b"host 'evil.example:9118' is none of this server's names; --allow-host adds one\n",
    )


async def test_its_own_names_and_those_allowed_are_answered(program: Program) -> None:
    admin = admin_port(program, "probe.example")
    admin.listen("127.0.0.1:0")
    for host in ("127.0.0.1:1", "localhost", socket.gethostname(), "probe.example:9118"):
        assert (await get(admin, "/ping", Host=host)).body == b"OK"
    await admin.close()


async def test_other_paths_and_methods_change_nothing(port: AdminPort) -> None:
    assert (await get(port, "/")).code == 404
    answer = await AsyncHTTPClient().fetch(
        f"http://{port.address}/config", method="POST", body=b"x", raise_error=False
    )
    assert answer.code == 405


async def test_a_port_in_use_is_named_with_the_remedy(port: AdminPort, program: Program) -> None:
    second = admin_port(program)
    with pytest.raises(ListenFailed) as caught:
        second.listen(port.address)
    assert str(caught.value) == (
        f"cannot listen on {port.address}: Address already in use; stop the program that uses it, "
        "or choose another port (0 takes any free one)"
    )
    await second.close()


@pytest.mark.parametrize(
    ("address", "error", "text"),
    [
        ("203.0.113.1:0", ListenFailed, "this machine has no such address"),
        ("no.such.name.invalid:0", ListenFailed, "a name that resolves"),
        ("nowhere", ConfigError, "write host:port"),
    ],
)
async def test_other_addresses_that_cannot_be_had(
    port: AdminPort, program: Program, address: str, error: type[Exception], text: str
) -> None:
    other = admin_port(program)
    with pytest.raises(error, match=text):
        other.listen(address)


async def put_level(port: AdminPort, level: str) -> HTTPResponse:
    return await AsyncHTTPClient().fetch(
        f"http://{port.address}/config/log_level", method="PUT", body=level, raise_error=False
    )


async def test_the_log_level_changes_while_it_runs(port: AdminPort) -> None:
    root = logging.getLogger()
    before = root.level
    try:
        assert (await put_level(port, "debug")).body == b"debug\n"
        assert root.level == logging.DEBUG
        assert (await get(port, "/config/log_level")).body == b"debug\n"
        refused = await put_level(port, "loud")
        assert (refused.code, b"must be one of debug, info" in refused.body) == (400, True)
        assert root.level == logging.DEBUG
    finally:
        root.setLevel(before)


async def test_the_log_level_is_this_machines_affair(
    port: AdminPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nsqgw.service.admin.is_loopback", lambda address: False)
    before = logging.getLogger().level
    answer = await put_level(port, "debug")
    assert (answer.code, logging.getLogger().level) == (403, before)


async def test_the_names_that_kubernetes_has_for_it(port: AdminPort) -> None:
    assert (await get(port, "/livez")).body == b"OK"
    assert (await get(port, "/readyz")).code == 503
