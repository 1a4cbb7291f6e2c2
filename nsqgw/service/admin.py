"""The admin port: /ping, /ready, /metrics (Prometheus), /config and the log level of any service.

It reads live state when asked and keeps none; /livez and /readyz are other names of the first two. It needs
the extra `gateways` (prometheus_client), so only service.lifecycle imports it, and only when an admin address
is given.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule, URLSpec
from tornado.web import Application, RequestHandler

from nsqgw.errors import ConfigError
from nsqgw.service import logs
from nsqgw.service.hosts import AllowedHosts, is_loopback, refusal
from nsqgw.service.lifecycle import Service
from nsqgw.service.listen import bound_address, listen
from nsqgw.version import __version__

logger = logging.getLogger(__name__)

_IDLE_TIMEOUT = 60.0
_MAX_REQUEST_BYTES = 64 * 1024


class AdminPort:
    """An HTTP server for people, probes and Prometheus; it changes nothing but the log level.

    `registry` answers /metrics. `ready()` gives None or the reason for a 503. `settings()` is shown by
    /config as it is: its secrets must be masked already. `hosts` are the names it answers to, `routes` what
    the service adds.
    """

    def __init__(
        self,
        *,
        registry: CollectorRegistry,
        ready: Callable[[], str | None],
        settings: Callable[[], dict[str, object]],
        hosts: AllowedHosts,
        routes: Sequence[Rule] = (),
    ) -> None:
        pages: list[Rule] = [
            Rule(_ForeignHost(hosts), _Misdirected),
            URLSpec("/(?:ping|livez)", _Ping),
            URLSpec("/readyz?", _Ready, {"ready": ready}),
            URLSpec("/config/log_level", _LogLevel),
            URLSpec("/metrics", _Metrics, {"registry": registry}),
            URLSpec("/config", _Config, {"settings": settings}),
            *routes,
        ]
        application = Application(pages, log_function=lambda handler: None)
        self._server = HTTPServer(
            application, idle_connection_timeout=_IDLE_TIMEOUT, max_buffer_size=_MAX_REQUEST_BYTES
        )
        self.address = ""
        """The "host:port" listened on, once `listen` was called."""

    def listen(self, address: str, flag: str | None = None) -> None:
        """Open the port. Raises ListenFailed with the address, the cause and a remedy, as `listen` does."""
        sockets = listen(address, flag)
        self._server.add_sockets(sockets)
        self.address = bound_address(sockets)

    async def close(self) -> None:
        """Close the port and the connections still open."""
        self._server.stop()
        await self._server.close_all_connections()


def service_registry(service: Service) -> CollectorRegistry:
    """A registry with the metrics of `service`, of this process, and the version."""
    registry = CollectorRegistry()
    registry.register(_LiveCollector(service))
    ProcessCollector(registry=registry)
    return registry


class _LiveCollector(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily("nsqgw_build", "The version that runs.", {"version": __version__})
        yield from self._service.metrics()

    def describe(self) -> Iterable[Metric]:
        return ()  # registering must not ask a service that has not started for its metrics


class _ForeignHost(Matcher):
    def __init__(self, hosts: AllowedHosts) -> None:
        self._hosts = hosts

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        return None if self._hosts.permits(request.headers.get("Host")) else {}


class _Misdirected(RequestHandler):
    def prepare(self) -> None:
        self.set_status(421)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(refusal(self.request.headers.get("Host")) + "\n")


class _Ping(RequestHandler):
    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write("OK")


class _Ready(RequestHandler):
    def initialize(self, ready: Callable[[], str | None]) -> None:
        self._why_not = ready

    def get(self) -> None:
        reason = self._why_not()
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_status(200 if reason is None else 503)
        self.write("ready\n" if reason is None else f"{reason}\n")


class _Metrics(RequestHandler):
    def initialize(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def get(self) -> None:
        encode, content_type = choose_encoder(self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.write(encode(self._registry))


class _LogLevel(RequestHandler):
    """GET tells it, PUT sets it: the path and the form that nsqd has. From this machine only."""

    def get(self) -> None:
        self._answer(200, logs.level())

    def put(self) -> None:
        if not is_loopback(self.request.remote_ip):
            self._answer(403, "the log level is changed from this machine only")
            return
        try:
            logs.set_level(self.request.body.decode("utf-8", "replace").strip().lower())
        except ConfigError as error:
            self._answer(400, str(error))
            return
        logger.warning("the log level is %s from now on", logs.level())
        self._answer(200, logs.level())

    def _answer(self, code: int, text: str) -> None:
        self.set_status(code)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write(text + "\n")


class _Config(RequestHandler):
    def initialize(self, settings: Callable[[], dict[str, object]]) -> None:
        self._shown = settings

    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(self._shown(), indent=2, default=str) + "\n")
