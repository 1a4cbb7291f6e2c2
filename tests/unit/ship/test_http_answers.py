"""What an HTTP answer means for a batch."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from gateways.ship.sinks.http_answers import Answer, StatusRules, retry_after


def classify(status: int, headers: dict[str, str]) -> Outcome:
    return StatusRules().classify(Answer(status, headers, b""))


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_confirms(status: int) -> None:
    assert classify(status, {}) is CONFIRMED


@pytest.mark.parametrize(
    ("fate", "statuses"),
    [
        (Fate.RETRY, [408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 530]),
        (Fate.REJECTED, [400, 422]),
        (Fate.TOO_LARGE, [413]),
        (Fate.BLOCKED, [300, 301, 307, 401, 402, 403, 404, 405, 407, 410, 418, 501, 505, 531, 599]),
    ],
)
def test_the_classes_of_failures(fate: Fate, statuses: list[int]) -> None:
    for status in statuses:
        outcome = classify(status, {})
        assert (status, outcome.fate) == (status, fate)
        assert str(status) in outcome.reason


def test_a_redirect_is_reported_with_its_target_masked() -> None:
    outcome = classify(302, {"Location": "https://elsewhere/in?token=abc"})
    assert outcome.reason == "HTTP 302 redirects to https://elsewhere/***, not followed"


def test_the_reason_is_the_status_in_words() -> None:
    assert classify(503, {}).reason == "HTTP 503 Service Unavailable"
    assert classify(599, {}).reason == "HTTP 599"


def test_retry_after_comes_with_the_outcome() -> None:
    assert classify(429, {"Retry-After": "7"}).retry_after == 7.0


def test_statuses_can_be_given_another_meaning() -> None:
    rules = StatusRules(ok=frozenset({409}), retry=frozenset({403, 260}), reject=frozenset({404}))
    fates = {status: rules.fate(status) for status in (409, 403, 260, 404, 200, 503, 401)}
    assert fates == {
        409: Fate.CONFIRMED,
        403: Fate.RETRY,
        260: Fate.RETRY,
        404: Fate.REJECTED,
        200: Fate.CONFIRMED,
        503: Fate.RETRY,
        401: Fate.BLOCKED,
    }


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"\xff", b"[" * 100_000, b"null"])
def test_an_answer_without_a_document_has_an_empty_one(body: bytes) -> None:
    assert Answer(200, {}, body).document() == {}


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("soon", None),
        ("9" * 400, 86400.0),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("Tue, 99 Foo 2099 00:00:00 GMT", None),
    ],
)
def test_both_forms_of_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds
