"""What an HTTP answer means for a batch: by status, as long as the sink's own contract says nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import responses
from typing import Any

from gateways.pipeline.refusal import Kind, refusal
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from nsqgw.service.settings import mask_url

RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, *range(520, 531)})
REJECT_STATUS = frozenset({400, 422})
TOO_LARGE = 413
_LONGEST_WAIT = 86400.0  # seconds that are believed of a Retry-After, and counted


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: `body` is cut where the reader's bound was reached, and then `complete` is False.

    `sent_again` when the request was sent before on a connection that ended without an answer.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True
    sent_again: bool = False

    @property
    def summary(self) -> str:
        """The status in words, without anything the far side may have repeated of what was sent."""
        if 300 <= self.status < 400:
            target = mask_url(self.headers.get("Location", "nowhere"))
            return f"HTTP {self.status} redirects to {target}, not followed"
        return f"HTTP {self.status} {responses.get(self.status, '')}".rstrip()

    @property
    def is_page(self) -> bool:
        """Whether its content is HTML."""
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return bool(self.body) and kind in ("text/html", "application/xhtml+xml")

    def json(self) -> Any:
        """The body as JSON; None when it is none, or was cut."""
        try:
            return json.loads(self.body) if self.complete else None
        except (ValueError, RecursionError):
            return None

    def document(self) -> dict[str, Any]:
        """The body as a JSON object, empty when it is none."""
        found = self.json()
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class StatusRules:
    """Which statuses mean what, where that differs from the common classes; each set wins over those."""

    ok: frozenset[int] = frozenset()
    retry: frozenset[int] = frozenset()
    reject: frozenset[int] = frozenset()

    def fate(self, status: int) -> Fate:
        """2xx is confirmed; 408, 425, 429 and the passing 5xx are tried again; 400 and 422 refuse the data;
        413 is too large; all others (credentials, wrong URL, redirects) need a person.
        """
        for statuses, fate in (
            (self.ok, Fate.CONFIRMED),
            (self.retry, Fate.RETRY),
            (self.reject, Fate.REJECTED),
            (RETRY_STATUS, Fate.RETRY),
            (REJECT_STATUS, Fate.REJECTED),
        ):
            if status in statuses:
                return fate
        if 200 <= status < 300:
            return Fate.CONFIRMED
        return Fate.TOO_LARGE if status == TOO_LARGE else Fate.BLOCKED

    def classify(self, answer: Answer) -> Outcome:
        """What the answer's status means for the whole batch."""
        fate = self.fate(answer.status)
        if fate is Fate.CONFIRMED:
            return CONFIRMED
        kind: Kind = "too_large" if fate is Fate.TOO_LARGE else "rejected"
        why = refusal(answer.summary, kind, status=answer.status)
        if fate is Fate.RETRY:
            return Outcome(fate, why, retry_after(answer.headers.get("Retry-After"), time.time()))
        return Outcome(fate, why)


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds, a day at most, that a Retry-After header asks for in either form; None when it has neither.

    `now` is the wall clock, for the form with a date (RFC 9110, 10.2.3).
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_WAIT)
    try:
        return min(max(0.0, parsedate_to_datetime(value).timestamp() - now), _LONGEST_WAIT)
    except (ValueError, OverflowError):
        return None
