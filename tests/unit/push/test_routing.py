"""From a body to the channels it goes to, and which channels there may be."""

from __future__ import annotations

import pytest

from gateways.push.context import Context
from gateways.push.entry import Entry
from gateways.push.hub import Hub
from gateways.push.limits import Limits
from gateways.push.policy import Lag, Policy
from gateways.push.routing import DROP, Route, Routing
from nsqgw.errors import ConfigError

BY_CUSTOMER = Route("orders", "orders.{customer.id}")


def channels(routing: Routing, *bodies: bytes) -> dict[str, list[bytes]]:
    routed = routing.channels_of("orders", [Entry(body) for body in bodies])
    return {channel: [entry.body for entry in entries] for channel, entries in routed.items()}


def test_without_a_route_a_topic_is_its_own_channel() -> None:
    routing = Routing(["orders"])
    assert channels(routing, b"1", b"{}") == {"orders": [b"1", b"{}"]}
    assert (routing.topic_of("orders"), routing.topic_of("orders.1"), routing.fixed) == (
        "orders",
        None,
        ("orders",),
    )


def test_fields_make_the_name_and_order_is_kept() -> None:
    one, two, again = b'{"customer":{"id":1}}', b'{"customer":{"id":"x"}}', b'{"customer":{"id":1},"n":2}'
    routing = Routing(["orders"], [BY_CUSTOMER])
    assert channels(routing, one, two, again) == {"orders.1": [one, again], "orders.x": [two]}
    assert routing.unrouted == {"orders": 0}
    assert routing.fixed == ()


@pytest.mark.parametrize(
    "body",
    [b"no json", b"[]", b"{}", b'{"customer":1}']
    + [b'{"customer":{"id":%s}}' % value for value in (b"null", b'""', b"{}", b'"a b"', b'"*"', b'"a/b"')]
    + [b'{"customer":{"id":"%s"}}' % (b"x" * 300)],
)
def test_what_has_no_channel_is_counted_and_goes_to_the_fallback(body: bytes) -> None:
    routing = Routing(["orders"], [BY_CUSTOMER])
    assert channels(routing, body) == {"orders.unrouted": [body]}
    assert routing.unrouted == {"orders": 1}
    dropping = Routing(["orders"], [Route("orders", "orders.{customer.id}", DROP)])
    assert channels(dropping, body) == {}
    assert dropping.unrouted == {"orders": 1}


def test_a_message_may_go_to_several_channels() -> None:
    other = Route("orders", "all-{kind}", "orders")
    routing = Routing(["orders"], [BY_CUSTOMER, Route("orders", "{topic}"), other])
    body = b'{"customer":{"id":true}}'
    assert channels(routing, body) == {"orders.true": [body], "orders": [body]}


def test_a_browser_may_follow_what_a_route_can_make() -> None:
    routing = Routing(["orders", "plain"], [BY_CUSTOMER])
    assert routing.topic_of("orders.7") == "orders"
    assert routing.topic_of("orders.unrouted") == "orders"
    for unknown in ("orders", "orders.", "orders.a b", "orders.a/b", "other.1", "orders.*"):
        assert routing.topic_of(unknown) is None
    for prefix in ("", "o", "orders.", "orders.7", "plai", "plain"):
        assert routing.may_begin(prefix)
    for prefix in ("x", "plain.", "order.7"):
        assert not routing.may_begin(prefix)


@pytest.mark.parametrize("template", ["", "a b", "a.{}", "a.{x..y}", "a.{x", "a/{x}", "a*"])
def test_a_bad_template_is_refused_with_its_name(template: str) -> None:
    with pytest.raises(ConfigError, match="route '"):
        Route("orders", template)


def test_a_bad_fallback_is_refused() -> None:
    with pytest.raises(ConfigError, match="fallback 'a b'"):
        Route("orders", "{id}", "a b")


@pytest.mark.parametrize(
    ("followed", "patience"),
    [
        ("orders.1", 60.0),
        ("orders.*", 60.0),
        ("orders*", 60.0),
        ("strict.1", 10.0),
        ("strict.*", 10.0),
        ("*", 10.0),
    ],
)
def test_a_browser_on_a_pattern_is_waited_for_as_its_topics_say(followed: str, patience: float) -> None:
    routing = Routing(["orders", "strict"], [BY_CUSTOMER, Route("strict", "strict.{id}")])
    limits = Limits(max_queue_age=10.0, stall_timeout=60.0)
    policies = {"orders": Policy(Lag.DROP_OLDEST)}
    context = Context(hub=Hub(routing), limits=limits, clock=lambda: 0.0, policies=policies)
    backlog = context.new_backlog([followed])
    backlog.stall(0.0)
    assert not backlog.overdue(patience)
    assert backlog.overdue(patience + 0.1)
