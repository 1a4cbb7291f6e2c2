"""Long polling: a request is answered once there is something to say, and the client asks again.

The answer is `{"position": ..., "gap": ..., "messages": [...]}`, the messages as in `lines`; without any when
nothing came for `poll_timeout` seconds. The next poll shows the position with `since`, so nothing is missed
between two polls, and what is lost is told by `gap`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from gateways.push.context import Context
from gateways.push.filter import Filter
from gateways.push.frame import Burst, Frame
from gateways.push.history import Replay
from gateways.push.http import Response
from gateways.push.lines import message_json
from gateways.push.session import ANSWERED, Ending, Session


class PollSession(Session):
    """One poll of one topic."""

    __slots__ = ("_asked_at", "_began", "_headers", "_since", "_wanted")

    encoding = staticmethod(message_json)
    kind = "poll"
    content_type = "application/json"

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
        self._asked_at = context.clock()
        self._began: str | None = None
        """The position it waits at."""

    def data_received(self, data: bytes) -> None:
        """A client has nothing to say after its request; it is read so that its end is seen."""

    def replay(self, topic: str, replay: Replay) -> None:
        self._began = replay.position
        if replay.frames or replay.gap:
            self._answer(replay.frames, replay.position, gap=replay.gap)

    def offer(self, data: bytes, burst: Burst) -> None:
        if self._listening:
            self._answer(burst.frames, burst.frames[-1].position)

    def miss(self, channel: str) -> None:
        if self._listening:
            self._answer((), self._context.hub.missed(channel, None).position, gap=True)

    def leave_in(self, seconds: float) -> None:
        self.end()

    def end(self) -> None:
        if self._listening:
            self._answer_so_far()

    def _open(self) -> None:
        for topic in self.topics:
            self._follow(topic, self._since, self._wanted)

    def _keep_alive(self, now: float) -> None:
        if now - self._asked_at >= self._context.limits.poll_timeout:
            self._answer_so_far()

    def _answer_so_far(self) -> None:
        """Its time is up: nothing, unless a burst is being handed out that has not come to it yet."""
        for topic in self.topics:
            replay = self._context.hub.missed(topic, self._began, self._wanted)
            # what a filter lets go may have filled the history since, which is no loss
            self._answer(replay.frames, replay.position, gap=replay.gap and self._wanted is None)

    def _answer(self, frames: Sequence[Frame], position: str, *, gap: bool = False) -> None:
        # pieces that all who poll have in common, in an object that is their own
        messages = b",".join([frame.encoded(self.encoding) for frame in frames])
        start = json.dumps({"position": position, "gap": gap}).encode()[:-1]
        body = start + b', "messages": [' + messages + b"]}\n"
        headers = {"Cache-Control": "no-store", **self._headers}
        self._leave(ANSWERED)
        self._transport.write(Response(HTTPStatus.OK, body, self.content_type, headers).serialize())
        self._transport.close()

    def _say_farewell(self, ending: Ending) -> None:
        self._transport.close()
