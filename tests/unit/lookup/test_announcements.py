"""What followers of a feed are told: what is new for them, once, and never what is hidden."""

from __future__ import annotations

from nsqgw.lookup.feed import Announcements, JoinedFeeds
from nsqgw.lookup.feed_journal import JournalFeed
from nsqgw.protocol.lookup import NodeInfo
from nsqgw.topology.changes import (
    ChannelCreated,
    NodeDown,
    NodeUp,
    Registered,
    Tombstoned,
    TombstoneEnded,
    TopicCreated,
    Unregistered,
)
from nsqgw.topology.cluster import Cluster, Topic
from nsqgw.topology.journal import Journal

NODE = NodeInfo("a", 4150, 4151, "1")
A = "a:4150"


class Heard(list[frozenset[str]]):
    """What one follower was told."""

    def __call__(self, found: frozenset[str]) -> None:
        self.append(found)


def test_each_is_told_what_it_asked_for() -> None:
    feed = Announcements()
    with_t, with_u, nodes, topics = Heard(), Heard(), Heard(), Heard()
    feed.follow("t", with_t)
    feed.follow("u", with_u)
    feed.follow_nsqds(nodes)
    feed.follow_topics(topics)
    feed.happened("s", [NodeUp(A, NODE), TopicCreated("t"), ChannelCreated("t", "c"), Registered("t", A)])
    assert (with_t, with_u, nodes, topics) == ([{A}], [], [{A}], [{"t"}])


def test_what_is_known_is_told_to_those_who_come_late() -> None:
    feed, heard = Announcements(), Heard()
    feed.reset("one", Cluster({A: NODE}, {"t": Topic(set(), {A: False})}))
    feed.reset("two", Cluster({}, {"t": Topic(set(), {"b:1": False, "c:1": True})}))
    feed.follow("t", heard)
    assert heard == [{A, "b:1"}]
    feed.forget("two")
    feed.follow("t", heard)
    assert heard[1:] == [{A}]


def test_nobody_is_told_of_an_end() -> None:
    feed, heard = Announcements(), Heard()
    feed.happened("s", [NodeUp(A, NODE), Registered("t", A)])
    feed.follow("t", heard)
    feed.happened("s", [Unregistered("t", A)])
    feed.happened("s", [NodeDown(A)])
    assert heard == [{A}]


def test_the_hidden_are_told_when_they_are_hidden_no_more() -> None:
    feed, heard = Announcements(), Heard()
    feed.follow("t", heard)
    feed.happened("s", [NodeUp(A, NODE), Registered("t", A), Tombstoned("t", A)])
    assert heard == []
    feed.happened("s", [TombstoneEnded("t", A)])
    assert heard == [{A}]


def test_who_left_hears_nothing_more() -> None:
    feed, heard = Announcements(), Heard()
    unfollow = feed.follow("t", heard)
    unfollow()
    unfollow()
    feed.happened("s", [Registered("t", A)])
    assert heard == []


def test_several_feeds_are_one() -> None:
    first, second, heard = Announcements(), Announcements(), Heard()
    unfollow = JoinedFeeds(first, second).follow("t", heard)
    first.happened("s", [Registered("t", A)])
    second.happened("s", [Registered("t", "b:1")])
    unfollow()
    second.happened("s", [Registered("t", "c:1")])
    assert heard == [{A}, {"b:1"}]


def test_a_journal_is_a_feed_until_it_is_closed() -> None:
    journal, heard = Journal(), Heard()
    journal.record([NodeUp(A, NODE), Registered("t", A)])
    feed = JournalFeed(journal)
    feed.follow("t", heard)
    journal.record([Registered("t", "b:1")])
    feed.close()
    journal.record([Registered("t", "c:1")])
    assert heard == [{A}, {"b:1"}]
