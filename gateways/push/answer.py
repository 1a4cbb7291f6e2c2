"""A stream as the body of an HTTP answer that never ends: what server-sent events and NDJSON have in common.

Signs of life keep it open through proxies. There is no close in HTTP: the stream ends, and whoever wants to
comes back with the position of the last message.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar

from gateways.push.context import Context
from gateways.push.filter import Filter
from gateways.push.http import head
from gateways.push.session import Ending, Session


class AnswerSession(Session):
    """One topic; `headers` come with the answer."""

    __slots__ = ("_headers", "_heartbeat_at", "_since", "_wanted")

    content_type: ClassVar[str]
    heartbeat: ClassVar[bytes]
    """What is written when nothing was for a while, and means nothing."""

    def __init__(
        self,
        context: Context,
        topic: str,
        since: str | None,
        headers: Mapping[str, str],
        wanted: Filter | None = None,
    ) -> None:
        super().__init__(context, (topic,))
        self._since = since
        self._wanted = wanted
        self._headers = headers
        self._heartbeat_at = context.clock()

    def data_received(self, data: bytes) -> None:
        """A client has nothing to say after its request; it is read so that its end is seen."""

    def _open(self) -> None:
        headers = {
            "Content-Type": self.content_type,
            "Cache-Control": "no-store",
            "Connection": "close",
            "X-Accel-Buffering": "no",  # nginx would hold messages back
            "X-Content-Type-Options": "nosniff",
            **self._headers,
        }
        self._transport.write(head(HTTPStatus.OK, headers) + self._begin())
        self._follow_all()

    def _follow_all(self) -> None:
        for topic in self.topics:
            self._follow(topic, self._since, self._wanted)

    def _begin(self) -> bytes:
        """What comes before everything else."""
        return b""

    def _keep_alive(self, now: float) -> None:
        if now - self._heartbeat_at >= self._context.limits.heartbeat_interval:
            self._heartbeat_at = now
            self._transport.write(self.heartbeat)

    def _say_farewell(self, ending: Ending) -> None:
        self._transport.close()
