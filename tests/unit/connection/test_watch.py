"""When a connection counts as dead (C-CLI-4), tick by tick."""

from __future__ import annotations

from nsqgw.connection.watch import Watch
from nsqgw.errors import DeadlineExceeded


def ticks_until_dead(watch: Watch, reads: int = 0, asked: int = 0, answered: int = 0) -> int:
    for tick in range(1, 10_000):
        if watch.tick(reads, asked, answered) is not None:
            return tick
    raise AssertionError("lives for ever")


def test_c_cli_04_silence_of_two_intervals_is_the_end() -> None:
    # 60 s of silence are allowed; the tick at which more than that has passed closes.
    assert ticks_until_dead(Watch(1.0, 60.0, 1000.0)) == 61


def test_any_read_starts_the_silence_over() -> None:
    watch = Watch(1.0, 3.0, 1000.0)
    for reads in range(1, 50):
        assert watch.tick(reads, 0, 0) is None
        assert watch.tick(reads, 0, 0) is None
    error = [watch.tick(49, 0, 0) for _ in range(5)][-1]
    assert isinstance(error, DeadlineExceeded)
    assert "silent for 3 s" in str(error)


def test_a_command_without_answer_is_the_end_even_while_data_comes() -> None:
    watch = Watch(1.0, 60.0, 5.0)
    for tick in range(1, 20):
        error = watch.tick(tick, asked=1, answered=0)
        if error is not None:
            assert "did not answer a command within 5 s" in str(error)
            assert 5 <= tick <= 7
            return
    raise AssertionError("lives for ever")


def test_steady_answers_keep_it_alive_however_many_are_due() -> None:
    watch = Watch(1.0, 60.0, 5.0)
    for tick in range(1, 200):
        # A thousand commands a second, each answered four seconds later.
        assert watch.tick(tick, asked=1000 * tick, answered=max(0, 1000 * (tick - 4))) is None


def test_an_old_command_does_not_count_against_younger_answers() -> None:
    watch = Watch(1.0, 60.0, 3.0)
    assert all(watch.tick(tick, asked=5, answered=5) is None for tick in range(1, 50))


def test_a_blocked_loop_sees_one_late_tick_and_closes_nothing() -> None:
    """The clock may have jumped by minutes between two ticks: the watch does not know, on purpose."""
    watch = Watch(1.0, 2.0, 2.0)
    assert watch.tick(1, asked=1, answered=0) is None
    assert watch.tick(2, asked=1, answered=1) is None


def test_a_reply_time_out_shorter_than_a_tick() -> None:
    assert ticks_until_dead(Watch(1.0, 60.0, 0.1), asked=1) == 2
