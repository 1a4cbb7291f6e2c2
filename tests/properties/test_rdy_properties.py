"""Sharing of max_in_flight: connections come and go, the limit moves, time passes (C-CLI-7 to C-CLI-11)."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nsqgw.consumer.rdy import RdyAllocator

IDLE, BUSY = 10.0, 30.0

Change = tuple[int, int]


class RdyMachine(RuleBasedStateMachine):
    """`told` is what the servers know, kept apart from the allocator's own books."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.told: dict[int, int] = {}
        self.ceilings: dict[int, int] = {}
        self.next_key = 0
        self.limit = 0

    @initialize(limit=st.integers(0, 12))
    def begin(self, limit: int) -> None:
        self.limit = limit
        self.allocator: RdyAllocator[int] = RdyAllocator(limit, idle_timeout=IDLE, busy_timeout=BUSY)

    def carry_out(self, changes: list[Change]) -> None:
        total = sum(self.told.values())
        for key, rdy in changes:
            assert rdy != self.told[key], "unchanged RDY is not sent again"
            assert 0 <= rdy <= self.ceilings[key]
            lowered = rdy < self.told[key]
            total += rdy - self.told[key]
            self.told[key] = rdy
            assert lowered or total <= self.limit, "the sum exceeds the limit on the way"

    @rule(ceiling=st.one_of(st.just(2500), st.integers(1, 4)))
    def connect(self, ceiling: int) -> None:
        key, self.next_key = self.next_key, self.next_key + 1
        self.ceilings[key] = ceiling
        self.told[key] = 0
        self.carry_out(self.allocator.add(key, ceiling, self.now))

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.told)))
        del self.told[key], self.ceilings[key]
        self.carry_out(self.allocator.remove(key, self.now))

    @rule(limit=st.integers(0, 12))
    def change_limit(self, limit: int) -> None:
        self.limit = limit
        self.carry_out(self.allocator.set_limit(limit, self.now))

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        self.allocator.heard(data.draw(st.sampled_from(sorted(self.told))), self.now)

    @rule(seconds=st.floats(0, 20))
    def rotate(self, seconds: float) -> None:
        self.now += seconds
        self.carry_out(self.allocator.rotate(self.now))

    @rule()
    def everybody_gets_a_turn(self) -> None:
        if not 0 < self.limit < len(self.told):
            return
        had = {key for key, rdy in self.told.items() if rdy}
        rounds = -(-len(self.told) // self.limit)
        for _ in range(rounds):
            self.now += IDLE
            self.carry_out(self.allocator.rotate(self.now))
            had |= {key for key, rdy in self.told.items() if rdy}
        assert had == set(self.told)

    @invariant()
    def books_agree(self) -> None:
        for key, rdy in self.told.items():
            assert self.allocator.rdy(key) == rdy
        assert self.allocator.total == sum(self.told.values()) <= max(self.limit, 0)

    @invariant()
    def nobody_starves_while_there_is_enough(self) -> None:
        if self.limit >= len(self.told):
            assert all(self.told.values())
        else:
            assert sum(self.told.values()) == self.limit, "with too little each gets one at most"
            assert set(self.told.values()) <= {0, 1}

    @invariant()
    def shares_are_equal_up_to_the_servers_ceiling(self) -> None:
        if self.told and self.limit >= len(self.told):
            share = self.limit // len(self.told)
            assert self.told == {key: min(share, ceiling) for key, ceiling in self.ceilings.items()}


TestRdyMachine = RdyMachine.TestCase


@given(st.integers(1, 8), st.integers(2, 12), st.lists(st.floats(0.1, 3.0), min_size=150, max_size=150))
def test_busy_connections_hand_over_as_well(limit: int, connections: int, steps: list[float]) -> None:
    """All that hold a turn are busy all the time; still nobody waits longer than a few busy time-outs."""
    allocator: RdyAllocator[int] = RdyAllocator(limit, idle_timeout=IDLE, busy_timeout=BUSY)
    now = 0.0
    last_turn = {}
    for key in range(connections):
        last_turn[key] = now
        allocator.add(key, 2500, now)
    rounds = -(-connections // limit)
    for step in steps:
        now += step
        for key in range(connections):
            if allocator.rdy(key):
                allocator.heard(key, now)
                last_turn[key] = now
        allocator.rotate(now)
        assert now - min(last_turn.values()) <= rounds * (BUSY + 2 * max(steps))
