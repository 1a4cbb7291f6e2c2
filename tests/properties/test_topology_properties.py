"""A diff applied to the old state gives the new one, also over the wire; journals lose nothing unseen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nsqgw.protocol.lookup import NodeInfo
from nsqgw.topology.changes import Change, node_address
from nsqgw.topology.cluster import Cluster, Topic, diff
from nsqgw.topology.events import Event, Position, Snapshot, decode, encode
from nsqgw.topology.journal import Journal

TOPICS = ["t", "u", "v#ephemeral"]
CHANNELS = ["c", "d"]


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    versions = draw(st.dictionaries(st.sampled_from(["a", "b", "::1"]), st.sampled_from(["1", "2"])))
    nodes = [NodeInfo(host, 4150, 4151, version) for host, version in versions.items()]
    addresses = [node_address(node) for node in nodes]
    topic = st.builds(
        Topic,
        st.sets(st.sampled_from(CHANNELS)),
        st.dictionaries(st.sampled_from(addresses), st.booleans()) if addresses else st.just({}),
    )
    topics = draw(st.dictionaries(st.sampled_from(TOPICS), topic))
    return Cluster(dict(zip(addresses, nodes, strict=True)), topics)


def over_the_wire(change: Change) -> Change:
    what = decode(encode(Event("e", 1, 0.0, change))).what
    assert isinstance(what, Change)
    return what


@given(clusters(), clusters())
def test_a_diff_leads_from_the_old_to_the_new(old: Cluster, new: Cluster) -> None:
    reached = old.copy()
    reached.apply(diff(old, new))
    assert reached == new


@given(clusters(), clusters())
def test_a_diff_says_each_thing_once_and_none_in_vain(old: Cluster, new: Cluster) -> None:
    changes = diff(old, new)
    state = old.copy()
    for change in changes:
        before = state.copy()
        state.apply([change])
        assert state != before, change
    assert diff(new, new) == []


@given(clusters(), clusters())
def test_changes_survive_the_wire(old: Cluster, new: Cluster) -> None:
    changes = diff(old, new)
    assert [over_the_wire(change) for change in changes] == changes


@given(clusters())
def test_snapshots_survive_the_wire(cluster: Cluster) -> None:
    what = decode(encode(Event("e", 7, 1.5, Snapshot(cluster)))).what
    assert isinstance(what, Snapshot)
    assert what.cluster == cluster


@given(st.lists(clusters(), max_size=6), st.integers(0, 40), st.integers(1, 8))
def test_a_journal_gives_what_followed_or_says_that_it_cannot(
    states: list[Cluster], since: int, capacity: int
) -> None:
    journal = Journal(capacity=capacity)
    states_at = {0: Cluster()}
    for state in states:
        for change in diff(journal.cluster, state):
            journal.record([change])
            states_at[journal.sequence] = journal.cluster.copy()
    entries = journal.after(Position(journal.epoch, since))
    if entries is None:
        assert since > journal.sequence or journal.sequence - since > capacity
        return
    state = states_at[since]
    assert [entry.event.sequence for entry in entries] == list(range(since + 1, journal.sequence + 1))
    state.apply(entry.event.what for entry in entries if isinstance(entry.event.what, Change))
    assert state == journal.cluster


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_noise_is_refused_in_one_way(noise: bytes | str) -> None:
    from nsqgw.errors import DiscoveryError

    try:
        decode(noise)
    except DiscoveryError:
        return
    raise AssertionError("noise was taken for an event")
