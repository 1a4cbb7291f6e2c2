"""The HTTP port of the watcher: /topology, the state as one event, and /topology/stream."""

from __future__ import annotations

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from nsqgw.service.hosts import AllowedHosts, refusal
from nsqgw.service.listen import bound_address, listen
from nsqgw.service.topology_stream import Refused, StreamRequest, TopologyStreams
from nsqgw.topology.journal import Journal

_IDLE_TIMEOUT = 60.0
_MAX_REQUEST_BYTES = 64 * 1024


class TopologyServer:
    """Serves `journal` to those who call it by one of its `hosts`."""

    def __init__(self, journal: Journal, hosts: AllowedHosts) -> None:
        self.streams = TopologyStreams(journal)
        self.address = ""
        """The `host:port` listened on, once `listen` was called."""
        shared = {"hosts": hosts}
        application = Application(
            [
                ("/topology", _Snapshot, {"journal": journal, **shared}),
                ("/topology/stream", _Stream, {"streams": self.streams, **shared}),
            ],
            log_function=lambda handler: None,
        )
        self._server = HTTPServer(
            application, idle_connection_timeout=_IDLE_TIMEOUT, max_buffer_size=_MAX_REQUEST_BYTES
        )

    def listen(self, address: str) -> None:
        """Open the port. Raises ListenFailed with the address, the cause and a remedy."""
        sockets = listen(address, "--listen")
        self._server.add_sockets(sockets)
        self.address = bound_address(sockets)

    async def close(self) -> None:
        """Close the port and all connections."""
        self._server.stop()
        await self.streams.close()
        await self._server.close_all_connections()


class _Handler(RequestHandler):
    def initialize(self, hosts: AllowedHosts) -> None:
        self._hosts = hosts

    def prepare(self) -> None:
        host = self.request.headers.get("Host")
        if not self._hosts.permits(host):
            self.refuse(421, refusal(host))

    def refuse(self, status: int, text: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{text}\n")


class _Snapshot(_Handler):
    def initialize(self, hosts: AllowedHosts, journal: Journal) -> None:  # type: ignore[override]  # tornado's way
        super().initialize(hosts)
        self._journal = journal

    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.write(self._journal.snapshot().data)


class _Stream(_Handler):
    def initialize(self, hosts: AllowedHosts, streams: TopologyStreams) -> None:  # type: ignore[override]  # tornado's way
        super().initialize(hosts)
        self._streams = streams

    def get(self) -> None:
        last = self.get_query_argument("last_event_id", None)
        request = StreamRequest(self.request.uri or "/", self.request.headers, last)
        try:
            dialect = self._streams.check(request)
        except Refused as error:
            self.refuse(error.status, str(error))
        else:
            self._streams.begin(self.detach(), request, dialect)
