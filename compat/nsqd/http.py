"""nsqd's HTTP API (nsqd-http): publishing, /stats, /info, topics, channels, and settings that may change."""

from __future__ import annotations

import json
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from compat.debug import debug_routes, free_memory, set_block_rate
from compat.go_logs import LOG_LEVELS
from compat.http_api import Api, ApiError, Call, Route
from compat.http_legacy import Legacy, with_legacy
from compat.nsqd.backend import BackendFailed
from compat.nsqd.options import config_values
from compat.nsqd.stats import StatsQuery, stats_document
from compat.nsqd.stats_text import stats_text
from compat.version import NSQ_VERSION, version_line
from nsqgw.errors import ServerError
from nsqgw.protocol.command_bodies import BatchBody
from nsqgw.protocol.commands import Mpub
from nsqgw.protocol.limits import milliseconds, wrapped_milliseconds
from nsqgw.protocol.names import is_valid_name
from nsqgw.service.listen import bound_address, listen

if TYPE_CHECKING:
    from compat.nsqd.broker import Nsqd
    from compat.nsqd.channel import Channel
    from compat.nsqd.topic import Topic

logger = logging.getLogger(__name__)

LEGACY = Legacy(
    answered=("/info", "/stats", "/pub", "/mpub"),
    renamed={"/put": "/pub", "/mput": "/mpub"}
    | {
        f"/{action}_{of}": f"/{of}/{action}"
        for of in ("topic", "channel")
        for action in ("create", "delete", "empty", "pause", "unpause")
    },
)
"""What nsqd served before 1.0 (nsqd-http section 10)."""

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_SIGNED = re.compile(r"[+-]?[0-9]{1,1000}", re.ASCII)
"""With more digits than Python takes for a number it is none, as beyond 64 bits for the original."""
_INT64 = range(-(2**63), 2**63)


class HttpPort:
    """The HTTP or HTTPS port of one broker."""

    def __init__(self, nsqd: Nsqd) -> None:
        self._nsqd = nsqd
        self._api: Api | None = None

    def listen(self, address: str, tls: ssl.SSLContext | None = None) -> str:
        """Open the port, for HTTPS with a context; the address really listened on. Raises ListenFailed."""
        sockets = listen(address)
        closed = self._tls_required if tls is None and self._nsqd.options.tls_required == "true" else None
        self._api = Api(self._routes(), logger, tls, closed)
        self._api.listen(sockets)
        return bound_address(sockets)

    async def stop(self) -> None:
        """Close the port and its connections."""
        if self._api is not None:
            await self._api.stop()

    def _tls_required(self) -> bytes:
        return b'{"message": "TLS_REQUIRED", "https_port": %d}' % self._nsqd.https_port

    def _routes(self) -> list[Route]:
        limits = self._nsqd.limits
        routes = [
            Route("GET", "/ping", self._ping, plain=True),
            Route("GET", "/info", self._info),
            Route("GET", "/stats", self._stats),
            Route("POST", "/pub", self._pub, max_body=limits.max_msg_size, too_big="MSG_TOO_BIG"),
            Route("POST", "/mpub", self._mpub, max_body=limits.max_body_size, too_big="BODY_TOO_BIG"),
            Route("GET", "/config/*", self._get_config),
            Route(
                "PUT", "/config/*", self._put_config, max_body=limits.max_msg_size, too_big="INVALID_VALUE"
            ),
            Route("POST", "/topic/create", self._create_topic),
            Route("POST", "/topic/empty", self._empty_topic),
            Route("POST", "/channel/create", self._create_channel),
            Route("PUT", "/debug/setblockrate", set_block_rate, plain=True),
            Route("POST", "/debug/freememory", free_memory, plain=True),
            *debug_routes(),
        ]
        for name, act in self._topic_actions().items():
            routes.append(Route("POST", f"/topic/{name}", self._on_topic(act)))
        for name, do in self._channel_actions().items():
            routes.append(Route("POST", f"/channel/{name}", self._on_channel(do)))
        return with_legacy(routes, LEGACY) if self._nsqd.options.legacy_http else routes

    def _topic_actions(self) -> dict[str, Callable[[Topic], None]]:
        return {
            "delete": lambda topic: self._nsqd.delete_topic(topic.name),
            "pause": partial(self._nsqd.set_paused, True),
            "unpause": partial(self._nsqd.set_paused, False),
        }

    def _channel_actions(self) -> dict[str, Callable[[Topic, Channel], None]]:
        return {
            "delete": lambda topic, channel: self._nsqd.delete_channel(topic, channel.name),
            "empty": lambda topic, channel: channel.empty(),
            "pause": lambda topic, channel: self._nsqd.set_paused(True, channel),
            "unpause": lambda topic, channel: self._nsqd.set_paused(False, channel),
        }

    def _ping(self, call: Call) -> str:
        health = self._nsqd.storage.health
        if not health.good:
            raise ApiError(500, str(health))
        return str(health)

    def _info(self, call: Call) -> object:
        nsqd, options = self._nsqd, self._nsqd.options
        return {
            "version": NSQ_VERSION,
            "broadcast_address": options.broadcast_address,
            "hostname": socket.gethostname(),
            "http_port": nsqd.http_port,
            "tcp_port": nsqd.tcp_port,
            "start_time": nsqd.start_time,
            "max_heartbeat_interval": round(options.max_heartbeat_interval * 1e9),
            "max_output_buffer_size": options.max_output_buffer_size,
            "max_output_buffer_timeout": round(options.max_output_buffer_timeout * 1e9),
            "max_deflate_level": options.max_deflate_level,
            "topology_zone": options.topology_zone,
            "topology_region": options.topology_region,
        }

    def _stats(self, call: Call) -> object:
        query = StatsQuery(
            topic=call.query.get("topic", ""),
            channel=call.query.get("channel", ""),
            include_clients=_BOOLEANS.get(call.query.get("include_clients", ""), True),
            include_mem=_BOOLEANS.get(call.query.get("include_mem", ""), True),
        )
        document = stats_document(self._nsqd, query, NSQ_VERSION)
        if call.query.get("format") == "json":
            return document
        return stats_text(document, version_line("nsqd"), time.time())

    async def _pub(self, call: Call) -> str:
        if not call.body:
            raise ApiError(400, "MSG_EMPTY")
        topic = self._nsqd.topic(_topic_name(call))
        deferral = 0.0
        if "defer" in call.query:
            deferral = self._deferral(call.query["defer"])
        return await self._publish(topic, (call.body,), deferral)

    def _deferral(self, asked: str) -> float:
        longest = milliseconds(self._nsqd.limits.max_req_timeout)
        if not _SIGNED.fullmatch(asked) or int(asked) not in _INT64:
            raise ApiError(400, "INVALID_DEFER")
        delay_ms = wrapped_milliseconds(int(asked))
        if not 0 <= delay_ms <= longest:
            raise ApiError(400, "INVALID_DEFER")
        return delay_ms / 1000

    async def _mpub(self, call: Call) -> str:
        topic = self._nsqd.topic(_topic_name(call))
        # Before 1.0 any value was binary, even `false`.
        words = {} if call.path == "/mput" else _BOOLEANS
        binary = "binary" in call.query and words.get(call.query["binary"], True)
        bodies = self._binary_batch(call.body) if binary else self._lines(call.body)
        return await self._publish(topic, bodies)

    async def _publish(self, topic: Topic, bodies: Sequence[bytes], deferral: float = 0.0) -> str:
        nsqd = self._nsqd
        try:
            if bodies:
                nsqd.publish(topic.name, bodies, deferral)
        except BackendFailed as error:
            raise ApiError(503, "EXITING") from error
        await nsqd.started(topic)
        if nsqd.storage.answers_wait and await nsqd.storage.synced():
            raise ApiError(503, "EXITING")
        return "OK"

    def _lines(self, body: bytes) -> list[bytes]:
        lines = [line for line in body.split(b"\n") if line]
        if any(len(line) > self._nsqd.limits.max_msg_size for line in lines):
            raise ApiError(413, "MSG_TOO_BIG")
        return lines

    def _binary_batch(self, body: bytes) -> tuple[bytes, ...]:
        batch = BatchBody("", self._nsqd.limits, announced=len(body))
        try:
            command, _ = batch.take(body, 0)
            if not isinstance(command, Mpub):
                raise batch.cut_short()
        except ServerError as error:
            raise ApiError(413, error.code.removeprefix("E_")) from error
        return command.bodies

    async def _create_topic(self, call: Call) -> None:
        await self._nsqd.started(self._nsqd.topic(_topic_name(call)))

    def _empty_topic(self, call: Call) -> None:
        self._existing_topic(_topic_name(call)).empty()

    def _create_channel(self, call: Call) -> None:
        topic, channel_name = self._topic_and_channel(call)
        self._nsqd.channel(topic, channel_name)

    def _on_topic(self, act: Callable[[Topic], None]) -> Callable[[Call], None]:
        def endpoint(call: Call) -> None:
            act(self._existing_topic(call.required("topic")))

        return endpoint

    def _on_channel(self, act: Callable[[Topic, Channel], None]) -> Callable[[Call], None]:
        def endpoint(call: Call) -> None:
            topic, channel_name = self._topic_and_channel(call)
            if channel_name not in topic.channels:
                raise ApiError(404, "CHANNEL_NOT_FOUND")
            act(topic, topic.channels[channel_name])

        return endpoint

    def _topic_and_channel(self, call: Call) -> tuple[Topic, str]:
        topic_name = call.required("topic")
        if not is_valid_name(topic_name):
            raise ApiError(400, "INVALID_ARG_TOPIC")
        channel_name = call.required("channel")
        if not is_valid_name(channel_name):
            raise ApiError(400, "INVALID_ARG_CHANNEL")
        return self._existing_topic(topic_name), channel_name

    def _existing_topic(self, name: str) -> Topic:
        if name not in self._nsqd.topics:
            raise ApiError(404, "TOPIC_NOT_FOUND")
        return self._nsqd.topics[name]

    def _get_config(self, call: Call) -> object:
        values = config_values(self._nsqd.options)
        if call.segment not in values:
            raise ApiError(400, "INVALID_OPTION")
        return values[call.segment]

    def _put_config(self, call: Call) -> object:
        if not call.body:
            raise ApiError(413, "INVALID_VALUE")
        if call.segment == "log_level":
            self._set_log_level(call.body)
        elif call.segment == "nsqlookupd_tcp_addresses":
            self._set_lookupd_tcp_addresses(call.body)
        else:
            raise ApiError(400, "INVALID_OPTION")
        return self._get_config(call)

    def _set_log_level(self, body: bytes) -> None:
        level = body.decode("utf-8", "replace").lower()
        if level not in LOG_LEVELS:
            raise ApiError(400, "INVALID_VALUE")
        self._nsqd.set_log_level(level)

    def _set_lookupd_tcp_addresses(self, body: bytes) -> None:
        try:
            addresses = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, "INVALID_VALUE") from error
        if addresses is None:
            addresses = []
        if not isinstance(addresses, list) or not all(isinstance(each, str) for each in addresses):
            raise ApiError(400, "INVALID_VALUE")
        self._nsqd.set_lookupd_tcp_addresses(tuple(addresses))


def _topic_name(call: Call) -> str:
    name = call.required("topic")
    if not is_valid_name(name):
        raise ApiError(400, "INVALID_TOPIC")
    return name
