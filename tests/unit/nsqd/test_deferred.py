"""Deferred messages come out when they are due, in the order of their times."""

from __future__ import annotations

from compat.nsqd.deferred import Deferred
from harness.channels import make_messages


def test_what_is_due_comes_out_in_order_and_only_once() -> None:
    late, early, same = make_messages(b"late", b"early", b"same")
    deferred = Deferred()
    deferred.put(late, 9.0)
    deferred.put(early, 3.0)
    deferred.put(same, 3.0)
    assert deferred.take_due(2.9) == []
    assert deferred.take_due(3.0) == [early, same]
    assert len(deferred) == 1
    assert deferred.take_due(100.0) == [late]
    assert deferred.take_due(100.0) == []


def test_clear() -> None:
    deferred = Deferred()
    deferred.put(make_messages(b"a")[0], 1.0)
    deferred.clear()
    assert len(deferred) == 0
    assert deferred.take_due(5.0) == []
