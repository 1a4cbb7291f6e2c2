"""Which connection probes after a failure: one likely to have a message, and not for ever the same."""

from __future__ import annotations

from nsqgw.consumer.rdy import RdyAllocator


def probing(allocator: RdyAllocator[str]) -> str:
    (key,) = [key for key in "abc" if allocator.rdy(key)]
    return key


def stopped() -> RdyAllocator[str]:
    allocator: RdyAllocator[str] = RdyAllocator(9, idle_timeout=10.0)
    for key in "abc":
        allocator.add(key, 2500, now=0.0)
    allocator.heard("b", now=1.0)
    allocator.set_limit(0, now=2.0)
    return allocator


def test_the_connection_that_delivered_last_probes_first() -> None:
    allocator = stopped()
    allocator.set_limit(1, now=4.0)
    assert probing(allocator) == "b"


def test_an_idle_probe_moves_on_by_the_time_given() -> None:
    allocator = stopped()
    allocator.set_limit(1, now=4.0)
    assert allocator.rotate(4.5, idle_timeout=1.0) == []
    seen = [probing(allocator)]
    for now in (5.5, 7.0, 8.5):
        allocator.rotate(now, idle_timeout=1.0)
        seen.append(probing(allocator))
    assert set(seen[:3]) == {"a", "b", "c"}
    assert seen[3] == "b"
