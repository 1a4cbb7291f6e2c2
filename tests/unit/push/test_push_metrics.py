"""The figures of the browser gateway are about what they say."""

from __future__ import annotations

from gateways.push.context import Context
from gateways.push.frame import Burst
from gateways.push.hub import Hub
from gateways.push.limits import Limits
from gateways.push.metrics import push_metrics
from gateways.push.routing import Route, Routing
from gateways.push.wire import websocket_message


class Follower:
    """A subscriber that takes nothing."""

    encoding = websocket_message

    def offer(self, data: bytes, burst: Burst) -> None:
        pass

    def miss(self, channel: str) -> None:
        pass


def test_followers_of_routed_channels_are_those_of_their_topic() -> None:
    hub = Hub(Routing(("events", "orders"), (Route("orders", "orders.{id}"),)))
    for channel in ("orders.7", "orders.7", "orders.8", "events"):
        hub.subscribe(channel, Follower())
    context = Context(hub=hub, limits=Limits(), clock=lambda: 0.0)
    metrics = {metric.name: metric for metric in push_metrics(context, {}, {})}
    by_topic = metrics["nsqgw_push_subscribers"].samples
    assert {sample.labels["topic"]: sample.value for sample in by_topic} == {"events": 1, "orders": 3}
    by_channel = metrics["nsqgw_push_channel_subscribers"].samples
    assert {sample.labels["channel"]: sample.value for sample in by_channel} == {
        "events": 1,
        "orders.7": 2,
        "orders.8": 1,
    }
