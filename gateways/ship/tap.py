"""Events as they pass, for people who watch: chosen, counted, bounded, and never waited for.

Nobody watching costs the pipelines one comparison for each read; one who reads too slowly misses events, and
is told how many.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from gateways.pipeline.watch import Stage
from nsqgw.message import Message

MAX_WATCHERS = 8
MAX_WAITING = 256
MAX_BODY_SHOWN = 16 * 1024


class Tap:
    """One who watches at `stage`: every event of `pipeline` and `topic`, where these are given.

    `sample` is the part of them that is shown, left to chance.
    """

    def __init__(
        self,
        pipeline: str | None = None,
        topic: str | None = None,
        sample: float = 1.0,
        chance: Callable[[], float] = random.random,
        stage: Stage = "received",
    ) -> None:
        self._stage = stage
        self._pipeline = pipeline
        self._topic = topic
        self._sample = sample
        self._chance = chance
        self._waiting: deque[dict[str, Any]] = deque()
        self._missed = 0
        self._news = asyncio.Event()

    def show(self, pipeline: str, stage: Stage, messages: Sequence[Message], sink: str | None = None) -> None:
        """Take note of those that match; never waits."""
        if stage != self._stage or self._pipeline not in (None, pipeline):
            return
        for message in messages:
            if self._topic in (None, message.topic) and self._chance() < self._sample:
                if len(self._waiting) >= MAX_WAITING:
                    self._missed += 1
                else:
                    self._waiting.append(_shown(pipeline, stage, message, sink))
                    self._news.set()

    async def next(self) -> dict[str, Any]:
        """The next event; `missed` in it counts those before it that could not be shown."""
        while not self._waiting:
            self._news.clear()
            await self._news.wait()
        event = self._waiting.popleft()
        if self._missed:
            event["missed"], self._missed = self._missed, 0
        return event


class Taps:
    """Those who watch now. `on_change` is called when the first one comes and the last one goes."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._taps: list[Tap] = []

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return bool(self._taps)

    @property
    def full(self) -> bool:
        """Whether there is no room for one more."""
        return len(self._taps) >= MAX_WATCHERS

    def add(self, tap: Tap) -> None:
        """Somebody begins to watch."""
        self._taps.append(tap)
        self._on_change()

    def remove(self, tap: Tap) -> None:
        """Somebody has stopped."""
        self._taps.remove(tap)
        self._on_change()

    def show(self, pipeline: str, stage: Stage, messages: Sequence[Message], sink: str | None = None) -> None:
        """To everybody who watches."""
        for tap in self._taps:
            tap.show(pipeline, stage, messages, sink)


def _shown(pipeline: str, stage: Stage, message: Message, sink: str | None) -> dict[str, Any]:
    """The event as JSON; a body that is no text as base64."""
    body = message.body[:MAX_BODY_SHOWN]
    shown: dict[str, Any] = {
        "pipeline": pipeline,
        "stage": stage,
        **({} if sink is None else {"sink": sink}),
        "topic": message.topic,
        "id": message.id.decode("ascii", "replace"),
        "timestamp_ns": message.timestamp,
        "attempts": message.attempts,
        "size": len(message.body),
    }
    try:
        shown["body"] = body.decode("utf-8")
    except UnicodeDecodeError:
        shown["body_base64"] = base64.b64encode(body).decode("ascii")
    return shown
