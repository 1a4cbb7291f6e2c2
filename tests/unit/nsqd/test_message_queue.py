"""A queue of memory and a backend: what goes where, and who has his turn."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from compat.nsqd.backend import BackendFailed, MemoryBackend, MemoryBudget
from compat.nsqd.message import Message
from compat.nsqd.message_queue import MessageQueue
from harness.channels import make_messages, memory_backend


class Moody(MemoryBackend):
    """A backend that takes nothing while it is `full`, and gives nothing while it is `unreadable`."""

    def __init__(self) -> None:
        super().__init__(MemoryBudget(), lambda reason: None)
        self.full = self.unreadable = False
        self.kept: list[Message] = []

    def put(self, messages: Sequence[Message]) -> None:
        if self.full:
            raise BackendFailed("full")
        super().put(messages)

    def get(self, count: int, max_bytes: int) -> list[Message]:
        return [] if self.unreadable else super().get(count, max_bytes)

    def keep(self, message: Message) -> None:
        self.kept.append(message)


def bodies(messages: Sequence[Message]) -> list[bytes]:
    return [each.body for each in messages]


def letters(text: str) -> list[Message]:
    return make_messages(*(letter.encode() for letter in text))


def test_memory_first_then_the_backend() -> None:
    queue = MessageQueue(3, memory_backend())
    queue.put(letters("ab"))
    queue.put(letters("cdef"))
    assert (len(queue), queue.backend_depth) == (6, 3)


def test_both_have_their_turn() -> None:
    queue = MessageQueue(4, memory_backend())
    queue.put(letters("abcdefgh"))
    taken = [bodies(queue.take(2, 1 << 20)) for _ in range(5)]
    assert taken == [[b"e", b"f"], [b"a", b"b"], [b"g", b"h"], [b"c", b"d"], []]


def test_what_the_backend_refuses_is_not_in_the_queue() -> None:
    backend = Moody()
    queue = MessageQueue(3, backend)
    queue.put(letters("a"))
    backend.full = True
    with pytest.raises(BackendFailed):
        queue.put(letters("bcd"))
    assert len(queue) == 1


def test_a_backend_that_cannot_be_read_does_not_hold_up_memory() -> None:
    backend = Moody()
    queue = MessageQueue(2, backend)
    queue.put(letters("abcd"))
    backend.unreadable = True
    assert [bodies(queue.take(1, 1 << 20)) for _ in range(3)] == [[b"a"], [b"b"], []]
    backend.unreadable = False
    assert bodies(queue.take(9, 1 << 20)) == [b"c", b"d"]


def test_the_surplus_goes_to_the_backend_when_it_can() -> None:
    backend = Moody()
    queue = MessageQueue(2, backend)
    backend.full = True
    queue.keep(letters("abcd"))
    queue.relieve()
    assert (queue.overfull, len(queue), queue.backend_depth) == (True, 4, 0)
    backend.full = False
    queue.relieve()
    assert (queue.overfull, len(queue), queue.backend_depth) == (False, 4, 2)
    assert bodies(queue.take_memory(9, 1 << 20)) == [b"a", b"b", b"c", b"d"]


def test_at_the_end_all_is_stored_or_counted() -> None:
    backend = Moody()
    queue = MessageQueue(9, backend)
    queue.put(letters("ab"))
    assert queue.store(letters("cd")) == 0
    assert (len(queue), queue.backend_depth) == (4, 4)
    backend.full = True
    assert queue.store(letters("efg")) == 3


def test_only_where_memory_holds_nothing_deferred_messages_are_kept() -> None:
    for size, kept in ((1, 0), (0, 1)):
        backend = Moody()
        MessageQueue(size, backend).defer(*letters("a"))
        assert len(backend.kept) == kept


def test_a_budget_is_shared_and_given_back() -> None:
    budget = MemoryBudget()
    one, two = (MemoryBackend(budget, lambda reason: None) for _ in range(2))
    budget.limit = 3 * 300
    one.put(make_messages(bytes(100), bytes(100)))
    two.put(make_messages(bytes(100)))
    with pytest.raises(BackendFailed, match="memory is full: 900 bytes"):
        two.put(make_messages(b"x"))
    assert len(one.get(1, 1)) == 1
    two.put(make_messages(bytes(100)))
    two.empty()
    one.delete()
    assert (one.depth, two.depth, budget.used) == (0, 0, 0)
