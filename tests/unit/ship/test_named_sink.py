"""A sink that is treated otherwise than the others of its pipeline."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateways.pipeline.batch import BatchLimits
from gateways.pipeline.pipeline import PipelineLimits
from gateways.pipeline.rate import RateLimits
from gateways.pipeline.retry import RetryPolicy
from gateways.ship.named_sink import NamedSink
from gateways.ship.settings import ShipSettings

LIMITS = PipelineLimits(BatchLimits(500, 5_000_000, 1.0), concurrency=4, max_concurrency=64)


def named(**settings: Any) -> NamedSink:
    return NamedSink.model_validate({"name": "n", "to": {"type": "stdout"}, **settings})


def pipeline(*sinks: NamedSink, **settings: Any) -> ShipSettings:
    common = {"topics": ("t",), "channel": "c", "nsqd_tcp_addresses": ("h:1",), "sinks": sinks}
    return ShipSettings.model_validate({**common, **settings})


def test_what_is_not_given_is_the_pipeline_s() -> None:
    route = named().route(LIMITS, RetryPolicy(budget=7.0))
    assert (route.batch, route.delivery) == (LIMITS.batch, LIMITS.delivery())
    assert route.retry == RetryPolicy(budget=7.0)


def test_what_is_given_stands_in_its_place() -> None:
    route = named(
        batch={"max_messages": 10, "max_age": 0},
        retry={"budget": "2m", "max_backoff": "5s"},
        rate={"events": 100, "bytes": "1MB", "requests": 0.5},
        concurrency=2,
        max_concurrency=0,
        send_timeout="90s",
    ).route(LIMITS, RetryPolicy())
    assert route.batch == BatchLimits(10, 5_000_000, 0.0)
    assert route.retry == RetryPolicy(cap=5.0, budget=120.0)
    assert route.delivery is not None
    assert (route.delivery.concurrency, route.delivery.max_concurrency) == (2, 2)
    assert (route.delivery.send_timeout, route.delivery.rate) == (90.0, RateLimits(100, 1_000_000, 0.5))


def test_indexers_that_take_their_time_are_waited_for() -> None:
    splunk = {
        "type": "splunk",
        "url": "http://h",
        "token": "t",
        "ack_timeout": "4m",
        "request_timeout": "10s",
    }
    for acknowledge, timeout in ((True, 250.0), (False, 30.0)):
        route = named(to={**splunk, "acknowledge": acknowledge}).route(LIMITS, RetryPolicy())
        assert route.delivery is not None
        assert route.delivery.send_timeout == timeout


@pytest.mark.parametrize(
    "bad",
    [{"batch": {"max_messages": 0}}, {"retry": {"bugdet": 1}}, {"rate": {"events": -1}}, {"concurrency": 65}],
)
def test_mistakes(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        named(**bad)


def test_no_more_is_in_hand_than_a_rate_lets_through_in_time() -> None:
    slow = named(rate={"events": 2, "bytes": 1000}, batch={"max_messages": 5})
    settings = pipeline(named(), slow, retry_budget=100)
    assert settings.max_in_flight_each() == 50
    assert settings.pipeline_limits().max_bytes_held == 25_000
    assert pipeline(named(rate={"requests": 0.1}), retry_budget=100).max_in_flight_each() == 1250
    optional = named(rate={"events": 2}, required=False)
    assert pipeline(named(), optional).max_in_flight_each() == 2500


def test_all_hosts_are_sinks_that_transforms_know_by_one_name() -> None:
    hosts = {"type": "http", "url": ["http://a/x", "http://b:8080/x", "http://a/y"], "balance": "all"}
    routes = pipeline(named(to=hosts), named(name="other")).routes()
    assert [(route.name, route.part_of) for route in routes] == [
        ("n 1 at a:80", "n"),
        ("n 2 at b:8080", "n"),
        ("n 3 at a:80", "n"),
        ("other", ""),
    ]
    assert [route.sink.describe() for route in routes[:2]] == ["http://a/***", "http://b:8080/***"]
    with pytest.raises(ValidationError, match="dead_letter n goes to one place"):
        pipeline(named(name="other"), dead_letter=named(to=hosts))


def test_the_share_of_refusals_is_for_all_sinks() -> None:
    (route,) = pipeline(named(), dead_letter_max_ratio=0.9).routes()
    assert route.delivery is not None
    assert route.delivery.max_refused == 0.9


@pytest.mark.parametrize(
    ("own", "common"),
    [
        ({}, {"batch_max_age": 151}),
        ({}, {"retry_budget": 1.5}),
        ({"batch": {"max_age": "5m"}}, {}),
        ({"retry": {"budget": "10s"}}, {"batch_max_age": 6}),
    ],
)
def test_a_batch_is_not_given_back_before_its_first_try(own: dict[str, Any], common: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="too little of a retry"):
        pipeline(named(**own), **common)


def test_minutes_for_a_batch_want_a_longer_budget() -> None:
    pipeline(named(batch={"max_age": "5m"}, retry={"budget": "10m"}), batch_max_age=150)
