"""A pipeline whose sink is to get events in their order: through failures, refusals and several channels."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateways.pipeline.batch import BatchLimits
from gateways.pipeline.fan_out import Route
from gateways.pipeline.pipeline import PipelineLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.ship.dead_letters.store import SinkDeadLetters
from gateways.ship.sinks.discard import DiscardSettings
from gateways.ship.sinks.nginx import NginxSettings, NginxSink
from harness.nginx import PushStreamPublisher
from harness.pipeline import FakeSource
from harness.polling import eventually_async

IN_MEMORY = PipelineLimits(BatchLimits(max_messages=10, max_age=0.0), concurrency=4, max_concurrency=16)
SOON = RetryPolicy(initial=0.001, cap=0.01)


@pytest.fixture
async def publisher() -> AsyncIterator[PushStreamPublisher]:
    started = PushStreamPublisher()
    yield started
    await started.close()


@pytest.fixture
async def sink(publisher: PushStreamPublisher) -> AsyncIterator[NginxSink]:
    made = NginxSettings(
        style="push-stream", url=(publisher.publish_url,), channel="{field:channel}", pool=3, max_events=7
    ).make(4)
    await made.open()
    yield made
    await made.close()


def numbered(channel: str, number: int) -> bytes:
    return json.dumps({"channel": channel, "n": number}).encode()


@pytest.mark.parametrize("seed", range(3))
async def test_the_pipeline_keeps_the_order_through_failures(
    publisher: PushStreamPublisher, sink: NginxSink, run: Any, source: FakeSource, seed: int
) -> None:
    failing = iter([503, 0, 0, 0, 429, 0, 0, 500, 503, 503, *[0] * 20, 502, 0, 503, *[0] * 9])
    judge = publisher.judge

    def sometimes(*arguments: Any) -> tuple[int, str]:
        status = next(failing, 0)
        return (status, "") if status else judge(*arguments)

    publisher.judge = sometimes  # as an nginx that is overloaded now and then
    run(
        [source],
        [Route(sink)],
        IN_MEMORY,
        SOON,
    )
    bodies = [numbered(f"c{n * (seed + 3) % 5}", n) for n in range(100)]
    for start in range(0, 100, 9):
        source.deliver(*bodies[start : start + 9])
    await eventually_async(lambda: len(source.origin.finished) == 100)
    for channel in range(5):
        came = publisher.bodies(f"c{channel}")
        assert came == [body for body in bodies if json.loads(body)["channel"] == f"c{channel}"]


async def test_what_is_refused_goes_to_the_dead_letters_and_the_rest_goes_on(
    publisher: PushStreamPublisher, sink: NginxSink, run: Any, source: FakeSource
) -> None:
    nowhere = DiscardSettings().make(1)
    pipeline = run(
        [source],
        [Route(sink)],
        IN_MEMORY,
        SOON,
        dead_letters=SinkDeadLetters(nowhere, "bridge"),
    )
    source.deliver(numbered("a", 1), b"no channel", numbered("a", 2))
    await eventually_async(lambda: len(source.origin.finished) == 3)
    assert publisher.bodies("a") == [numbered("a", 1), numbered("a", 2)]
    assert pipeline.counters.dead_letters.total() == 1
