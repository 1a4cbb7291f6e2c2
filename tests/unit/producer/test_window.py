"""The window of publishes under way, and the line before it."""

from __future__ import annotations

from nsqgw.producer.window import Window


def test_messages_are_bounded() -> None:
    window = Window(3, 1000)
    assert [window.try_enter(1) for _ in range(4)] == [True, True, True, False]
    window.leave(1)
    assert window.try_enter(1)
    assert window.count == 3


def test_bytes_are_bounded() -> None:
    window = Window(100, 10)
    assert window.try_enter(6)
    assert not window.try_enter(5)
    assert window.try_enter(4)
    assert not window.try_enter(1)


def test_what_is_larger_than_the_window_enters_alone() -> None:
    window = Window(10, 10)
    assert window.try_enter(1000, count=500)
    assert not window.try_enter(1)
    window.leave(1000, count=500)
    assert window.try_enter(1)
    assert not window.try_enter(1000, count=500)


def test_nobody_overtakes_those_in_line() -> None:
    window = Window(10, 10)
    assert window.try_enter(5)
    window.join_line(10)
    assert not window.try_enter(1)
    assert not window.admit(10)
    window.leave(5)
    assert not window.try_enter(1)
    assert window.admit(10)
    window.leave(10)
    assert window.try_enter(1)


def test_the_line_is_full_when_it_holds_as_much_as_the_window() -> None:
    window = Window(2, 100)
    window.join_line(10)
    assert not window.line_full
    window.join_line(90)
    assert window.line_full
    window.leave_line(10)
    assert not window.line_full
    window.join_line(10)
    assert window.line_full
    assert window.admit(90)
    assert not window.line_full
