"""Several nsqlookupds as one cluster: what one of them loses is not lost at once."""

from __future__ import annotations

import pytest

from gateways.topology.views import Views
from nsqgw.protocol.lookup import NodeInfo
from nsqgw.topology.cluster import Cluster, Topic


def cluster(*hosts: str, hidden: bool = False, channels: tuple[str, ...] = ("c",)) -> Cluster:
    nodes = {f"{host}:4150": NodeInfo(host, 4150, 4151, "1") for host in hosts}
    topics = {"t": Topic(set(channels), dict.fromkeys(nodes, hidden))} if hosts else {}
    return Cluster(nodes, topics)


@pytest.fixture
def views() -> Views:
    return Views(settle=20.0, keep=300.0)


def test_what_any_of_them_knows_is_there(views: Views) -> None:
    views.answered("a", cluster("x"), 0.0)
    views.answered("b", cluster("y", channels=("d",)), 0.0)
    merged = views.merge(0.0)
    assert merged == cluster("x", "y", channels=("c", "d"))


def test_a_node_is_hidden_when_all_who_know_it_hide_it(views: Views) -> None:
    views.answered("a", cluster("x", hidden=True), 0.0)
    views.answered("b", cluster("x"), 0.0)
    assert views.merge(0.0).topics["t"].nodes == {"x:4150": False}
    views.answered("b", cluster("x", hidden=True), 1.0)
    assert views.merge(1.0).topics["t"].nodes == {"x:4150": True}


def test_one_that_is_away_is_taken_by_its_last_word_for_a_while(views: Views) -> None:
    views.answered("a", cluster("x"), 0.0)
    for now in (0.0, 100.0, 299.0, 301.0, 320.0):
        views.answered("b", cluster("y"), now)
        assert views.merge(now) == cluster("x", "y"), now
    views.answered("b", cluster("y"), 321.5)
    assert views.merge(321.5) == cluster("y")


def test_when_none_answers_everything_stays(views: Views) -> None:
    views.answered("a", cluster("x"), 0.0)
    for now in (0.0, 1000.0, 100_000.0):
        assert views.merge(now) == cluster("x")


def test_one_that_starts_anew_and_knows_nothing_takes_nothing_away(views: Views) -> None:
    views.answered("a", cluster("x", "y"), 0.0)
    views.merge(0.0)
    views.answered("a", cluster(), 5.0)
    assert views.merge(5.0) == cluster("x", "y")
    views.answered("a", cluster("x"), 15.0)
    assert views.merge(15.0) == cluster("x", "y")
    views.answered("a", cluster("x"), 25.0)
    assert views.merge(25.0) == cluster("x")


def test_without_settling_what_vanishes_is_gone_at_once() -> None:
    views = Views(settle=0.0)
    views.answered("a", cluster("x"), 0.0)
    views.merge(0.0)
    views.answered("a", Cluster(), 1.0)
    assert views.merge(1.0) == Cluster()


def test_a_registration_goes_and_comes_back(views: Views) -> None:
    views.answered("a", cluster("x"), 0.0)
    views.merge(0.0)
    views.answered("a", Cluster(cluster("x").nodes, {"t": Topic({"c"})}), 1.0)
    assert views.merge(1.0) == cluster("x")
    views.answered("a", cluster("x"), 2.0)
    views.merge(2.0)
    views.answered("a", Cluster(cluster("x").nodes, {"t": Topic({"c"})}), 22.0)
    assert views.merge(22.0) == cluster("x"), "the time it was away is counted anew"
