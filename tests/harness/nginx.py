"""nginx of Debian with nchan, a process of the test's own; and a publisher that keeps push-stream's contract.

nginx-push-stream-module is in no registry, so its publisher is played here: every status, text and header as
the module's own (nginx-push-stream-module 0.6.0 in nginx 1.22), without its subscribers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from harness.polling import eventually
from harness.private_server import PrivateServer, can_connect, require_program
from nsqgw.service.listen import bound_address, listen

_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

_CONFIG = """
load_module {module};
worker_processes 2;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    log_format published escape=json
        '{{"status":$status,"channel":"$arg_id","id":"$http_x_nsq_id","type":"$http_content_type",'
        '"body":"$request_body"}}';
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    nchan_message_buffer_length 10000;
    nchan_shared_memory_size 32M;
    server {{
        listen 127.0.0.1:{port};
        location = /pub {{
            access_log {folder}/published published;
            client_max_body_size 1k;
            nchan_publisher; nchan_channel_id $arg_id;
        }}
        location = /sub {{ nchan_subscriber; nchan_channel_id $arg_id; }}
        location = /stats {{ nchan_stub_status; }}
        location = /closed {{ return 403; }}
    }}
}}
"""


@dataclass(frozen=True)
class Published:
    """One line of nginx's log: a publication that was answered."""

    status: int
    channel: str
    id: str
    type: str
    body: str


class NchanServer(PrivateServer):
    """Keeps its port, and the log of its publications, over kill() and start()."""

    def __init__(self) -> None:
        self._program = require_program("nginx", "nginx")
        if not _MODULE.exists():
            pytest.skip("nginx has no nchan: make system-packages, or apt-get install libnginx-mod-nchan")
        super().__init__()
        self.folder.chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def publish_url(self) -> str:
        return self.url + "/pub?id={channel}"

    @property
    def published(self) -> list[Published]:
        """What it confirmed, in the order in which it did."""
        log = self.folder / "published"
        lines = log.read_bytes().splitlines() if log.exists() else []
        found = [Published(**json.loads(line)) for line in lines]
        return [each for each in found if each.status in (201, 202)]

    def command(self) -> list[str]:
        config = self.folder / "nginx.conf"
        config.write_text(_CONFIG.format(module=_MODULE, folder=self.folder, port=self._port))
        return [
            self._program,
            "-p",
            str(self.folder),
            "-c",
            str(config),
            "-e",
            str(self.folder / "error.log"),
        ]

    def is_ready(self) -> bool:
        return can_connect(self._port)

    def kill(self) -> None:
        """Its workers, too, at once: they would go on without it."""
        if self._process is not None:
            pid = self._process.pid
            workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            super().kill()
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(worker), signal.SIGKILL)
            eventually(lambda: not can_connect(self._port), what="nobody listens any more")


class PushStreamPublisher:
    """Answers publications as the module does; `script` has statuses for the next ones in place of that."""

    def __init__(self, max_channels: int = 100, max_id: int = 64) -> None:
        self.messages: list[tuple[str, bytes, str | None, str | None]] = []
        self.requests: list[HTTPServerRequest] = []
        self.script: list[int] = []
        self.under_way: Counter[str] = Counter()
        self.most_under_way = 0
        self.pause = 0.0
        self.judge: Callable[[HTTPServerRequest, str], tuple[int, str]] = self._contract
        self.max_channels = max_channels
        self._max_id = max_id
        self._counts: Counter[str] = Counter()
        module = self

        class Publish(RequestHandler):
            async def prepare(self) -> None:
                await module._answer(self)

        class Statistics(RequestHandler):
            def get(self) -> None:
                total = sum(module._counts.values())
                self.write(
                    {"hostname": "test", "channels": len(module._counts), "published_messages": total,
                     "stored_messages": 0, "subscribers": 0, "by_worker": []}
                )  # fmt: skip

        routes = [("/pub", Publish), ("/channels-stats", Statistics)]
        self._server = HTTPServer(Application(routes, log_function=lambda handler: None))
        sockets = listen("127.0.0.1:0")
        self._server.add_sockets(sockets)
        self.url = f"http://{bound_address(sockets)}"
        self.publish_url = self.url + "/pub?id={channel}"

    def bodies(self, channel: str) -> list[bytes]:
        """What was published to a channel, in order."""
        return [body for name, body, *_ in self.messages if name == channel]

    async def close(self) -> None:
        self._server.stop()
        await self._server.close_all_connections()

    async def _answer(self, handler: RequestHandler) -> None:
        request = handler.request
        self.requests.append(request)
        channel = unquote(
            dict(parse_qsl(urlsplit(request.uri or "").query, encoding="latin-1")).get("id", "")
        )
        self.under_way[channel] += 1
        self.most_under_way = max(self.most_under_way, self.under_way.total())
        assert self.under_way[channel] == 1, "one at a time in each channel"
        try:
            await asyncio.sleep(self.pause)
            status, explanation = self.judge(request, channel)
        finally:
            self.under_way[channel] -= 1
        handler.set_status(status)
        if explanation:
            handler.set_header("X-Nginx-PushStream-Explain", explanation)
        if status == 200 and request.method != "GET":
            headers = request.headers
            self._counts[channel] += 1
            self.messages.append((channel, request.body, headers.get("Event-Id"), headers.get("Event-Type")))
        if status == 200:
            figures = {"published_messages": self._counts[channel], "stored_messages": 0, "subscribers": 0}
            handler.write({"channel": channel, **figures})
        await handler.finish()

    def _contract(self, request: HTTPServerRequest, channel: str) -> tuple[int, str]:
        if self.script:
            return self.script.pop(0), ""
        if not channel:
            return 400, "No channel id provided."
        if channel == "ALL" or "*" in channel:
            return 403, "Channel id not authorized for this method."
        if len(channel) > self._max_id:
            return 400, "Channel id is too large."
        if request.method == "GET":
            return (200, "") if channel in self._counts else (404, "")
        if not request.body:
            return 400, "Empty post requests are not allowed."
        if channel not in self._counts and len(self._counts) >= self.max_channels:
            return 403, "Number of channels were exceeded."
        return 200, ""
