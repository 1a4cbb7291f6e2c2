"""Hosts in turn, and those that rest."""

from __future__ import annotations

import pytest

from gateways.ship.sinks.endpoints import (
    Balance,
    Endpoint,
    EndpointPool,
    note_answer,
    note_failure,
    parse_endpoint,
)


def pool(balance: Balance = "round_robin", chance: float = 0.5) -> tuple[EndpointPool, list[Endpoint]]:
    endpoints = [parse_endpoint(f"http://{name}/") for name in "abc"]
    return EndpointPool(endpoints, balance, lambda: chance), endpoints


def first_hosts(pool: EndpointPool, now: float, count: int = 6) -> str:
    return "".join(pool.order(now)[0].address.host for _ in range(count))


@pytest.mark.parametrize(
    ("url", "target", "below"),
    [
        ("http://h", "/", "/x"),
        ("http://h/", "/", "/x"),
        ("http://h/in", "/in", "/in/x"),
        ("http://h/in/?a=b%20c", "/in/?a=b%20c", "/in/x?a=b%20c"),
        ("http://h/in?m=%s", "/in?m=%s", "/in/x?m=%s"),
    ],
)
def test_what_is_requested(url: str, target: str, below: str) -> None:
    endpoint = parse_endpoint(url)
    assert (endpoint.target_of(None), endpoint.target_of("/x")) == (target, below)


def test_a_query_joins_that_of_the_path() -> None:
    assert parse_endpoint("http://h/?a=1").target_of("/x?b=2") == "/x?b=2&a=1"


def test_hosts_take_turns() -> None:
    hosts, _ = pool()
    assert first_hosts(hosts, 0.0) == "abcabc"


def test_one_that_fails_rests_longer_each_time() -> None:
    hosts, (a, _, _) = pool()
    note_failure(a, 10.0, None)
    assert a.rests_until == 10.5
    assert "a" not in first_hosts(hosts, 10.4)
    assert "a" in first_hosts(hosts, 10.5)
    for _ in range(20):
        note_failure(a, 11.0, None)
    assert a.rests_until == 41.0
    note_answer(a, 0.1)
    assert (a.failures, a.rests_until) == (0, 0.0)


def test_a_wait_that_is_asked_for_is_kept() -> None:
    _, (a, _, _) = pool()
    note_failure(a, 0.0, 120.0)
    note_failure(a, 1.0, None)
    assert a.rests_until == 120.0


def test_nobody_is_sent_away_for_more_than_five_minutes() -> None:
    _, (a, _, _) = pool()
    note_failure(a, 0.0, 86400.0)
    assert a.rests_until == 300.0


def test_when_all_rest_the_first_to_wake_is_asked() -> None:
    hosts, endpoints = pool()
    for endpoint, wait in zip(endpoints, (9.0, 3.0, 6.0), strict=True):
        note_failure(endpoint, 0.0, wait)
    assert [endpoint.address.host for endpoint in hosts.order(1.0)] == ["b"]


def test_the_least_busy_one_is_next() -> None:
    hosts, (a, b, _) = pool("least_in_flight")
    a.in_flight, b.in_flight = 2, 1
    assert first_hosts(hosts, 0.0, 3) == "ccc"


@pytest.mark.parametrize(("chance", "hosts"), [(0.5, "bbb"), (0.05, "abc")])
def test_the_fastest_one_is_next_mostly(chance: float, hosts: str) -> None:
    found, endpoints = pool("epsilon_greedy", chance)
    for endpoint, seconds in zip(endpoints, (0.3, 0.1, 0.2), strict=True):
        note_answer(endpoint, seconds)
    assert first_hosts(found, 0.0, 3) == hosts
