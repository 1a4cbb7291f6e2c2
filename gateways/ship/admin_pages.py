"""What ship adds to the admin port: /status and /tap."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError
from tornado.routing import Rule, URLSpec
from tornado.web import RequestHandler

from gateways.pipeline.watch import STAGES
from gateways.ship.status import status
from gateways.ship.tap import MAX_WATCHERS, Tap
from nsqgw.deadline import within
from nsqgw.service.hosts import is_loopback

if TYPE_CHECKING:
    from gateways.ship.gateway import ShipGateway

_FLUSH_TIMEOUT = 10.0
_ALIVE_INTERVAL = 5.0


def admin_pages(gateway: ShipGateway) -> Sequence[Rule]:
    """The routes of a gateway."""
    return [
        URLSpec("/status", _Status, {"gateway": gateway}),
        URLSpec("/tap", _Tap, {"gateway": gateway}),
    ]


class _Page(RequestHandler):
    def initialize(self, gateway: ShipGateway) -> None:
        self._gateway = gateway

    def _refuse(self, code: int, text: str) -> None:
        self.set_status(code)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(text + "\n")


class _Status(_Page):
    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps({"pipelines": [status(each) for each in self._gateway.running()]}) + "\n")


class _Tap(_Page):
    """NDJSON, an event a line, until the reader goes away; empty lines now and then find out whether it has.

    `pipeline`, `topic`, `stage` and `sample` (0 to 1) in the query choose what is shown.
    """

    async def get(self) -> None:
        if not self._may_watch():
            self._refuse(403, "watching is for this machine only: set tap in [service] for others")
            return
        sample = self._sample()
        if sample is None:
            self._refuse(400, "sample is not valid: write a number above 0 up to 1, such as 0.1")
            return
        if self._gateway.taps.full:
            self._refuse(503, f"{MAX_WATCHERS} are watching already: end one of them")
            return
        stage = next((each for each in STAGES if each == self.get_query_argument("stage", STAGES[0])), None)
        if stage is None:
            self._refuse(400, f"stage is not known: it must be one of {', '.join(STAGES)}")
            return
        pipeline, topic = (self.get_query_argument(name, None) for name in ("pipeline", "topic"))
        tap = Tap(pipeline, topic, sample, stage=stage)
        self._gateway.taps.add(tap)
        try:
            with contextlib.suppress(StreamClosedError, asyncio.TimeoutError):
                await self._stream(tap)
        finally:
            self._gateway.taps.remove(tap)

    async def _stream(self, tap: Tap) -> None:
        self.set_header("Content-Type", "application/x-ndjson")
        await within(_FLUSH_TIMEOUT, self.flush())
        while True:
            try:
                line = json.dumps(await within(_ALIVE_INTERVAL, tap.next()), ensure_ascii=False)
            except asyncio.TimeoutError:
                line = ""
            self.write(line + "\n")
            await within(_FLUSH_TIMEOUT, self.flush())

    def _may_watch(self) -> bool:
        allowed = self._gateway.config.service.tap
        if allowed != "loopback":
            return allowed == "any"
        return is_loopback(self.request.remote_ip)

    def _sample(self) -> float | None:
        try:
            sample = float(self.get_query_argument("sample", "1"))
        except ValueError:
            return None
        return sample if 0 < sample <= 1 else None
