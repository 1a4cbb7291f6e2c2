"""Refused events: when it is the data, and when it is us."""

from __future__ import annotations

from gateways.pipeline.doubt import MIN_EVENTS, REFUSED_IN_A_ROW, Doubt


def test_eight_refused_alone_one_after_the_other_are_not_the_data() -> None:
    subject = Doubt()
    for now in range(REFUSED_IN_A_ROW):
        assert not subject.holds
        subject.note(float(now), refused=1, confirmed=0)
    assert subject.holds


def test_something_confirmed_in_between_says_that_it_is_the_data() -> None:
    subject = Doubt()
    for now in range(30):
        subject.note(float(now), refused=REFUSED_IN_A_ROW - 1, confirmed=0)
        subject.passed(float(now), 1000)
    assert not subject.holds


def test_most_of_many_events_refused_is_a_new_schema_not_bad_data() -> None:
    subject = Doubt()
    subject.note(0.0, refused=MIN_EVENTS // 2, confirmed=MIN_EVENTS // 2)
    assert not subject.holds
    subject.note(1.0, refused=2, confirmed=1)
    assert subject.holds


def test_few_events_are_no_reason() -> None:
    subject = Doubt()
    subject.note(0.0, refused=90, confirmed=5)
    assert not subject.holds


def test_what_is_longer_than_a_minute_ago_does_not_count() -> None:
    subject = Doubt()
    subject.note(0.0, refused=90, confirmed=1)
    subject.note(70.0, refused=90, confirmed=1)
    assert not subject.holds


def test_a_batch_confirmed_whole_ends_the_doubt_and_the_past() -> None:
    subject = Doubt()
    subject.note(0.0, refused=1000, confirmed=0)
    assert subject.holds
    subject.note(1.0, refused=0, confirmed=5)
    assert subject.holds
    subject.passed(2.0, 1)
    assert not subject.holds
    subject.note(3.0, refused=3, confirmed=0)
    assert not subject.holds
