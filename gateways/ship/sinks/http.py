"""POST batches as NDJSON to any HTTP service; a 2xx answer confirms the whole batch.

Redirects are not followed and certificates are verified. What an answer means stands in `classify`.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http.client import responses
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from gateways.ship.sinks.ndjson import ndjson_line
from nsqgw.config import USER_AGENT
from nsqgw.message import Message
from nsqgw.service.settings import mask_url

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/x-ndjson"

_RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, *range(520, 531)})
_REJECT_STATUS = frozenset({400, 413, 422})

_SHOWN_BYTES = 300
_MAX_ANSWER_BYTES = 1 << 40  # counted, not kept: only _SHOWN_BYTES of an answer stay in memory


class HttpSink:
    """One URL. `connect_timeout` and `request_timeout` are in seconds, the latter for the whole exchange."""

    event_overhead = len(b"\n")
    max_events = 0
    max_bytes = 0

    def __init__(
        self, url: str, *, concurrency: int, connect_timeout: float = 5.0, request_timeout: float = 20.0
    ) -> None:
        self.name = f"http {urlsplit(url).hostname}"
        self._url = url
        self._concurrency = concurrency
        self._connect_timeout = connect_timeout
        self._request_timeout = request_timeout
        self._client: AsyncHTTPClient | None = None

    async def open(self) -> None:
        """Nothing is sent: a service that is down at the start is waited for, as at any other time."""
        self._client = AsyncHTTPClient(
            force_instance=True, max_clients=self._concurrency, max_body_size=_MAX_ANSWER_BYTES
        )

    def encode(self, message: Message) -> bytes:
        """One line; see `ndjson_line`."""
        return ndjson_line(message.body)

    async def send(self, batch: Batch) -> Outcome:
        """POST the batch and say what the answer means."""
        assert self._client is not None, "the sink was not opened"
        beginning = bytearray()

        def keep_beginning(chunk: bytes) -> None:
            beginning.extend(chunk[: _SHOWN_BYTES - len(beginning)])

        request = HTTPRequest(
            self._url,
            method="POST",
            body=b"\n".join(batch.events) + b"\n",
            headers={"Content-Type": CONTENT_TYPE, "User-Agent": USER_AGENT},
            connect_timeout=self._connect_timeout,
            request_timeout=self._request_timeout,
            follow_redirects=False,
            decompress_response=False,
            streaming_callback=keep_beginning,
        )
        try:
            response = await self._client.fetch(request, raise_error=False)
        except ssl.SSLCertVerificationError as error:
            return Outcome(Fate.BLOCKED, f"its certificate is not accepted: {error.verify_message}")
        except (HTTPClientError, OSError) as error:
            return Outcome(Fate.RETRY, _cause(error))
        outcome = classify(response.code, response.headers)
        if outcome is not CONFIRMED and beginning:
            # It may repeat what was sent, credentials too: no part of the reason, which everybody sees.
            text = " ".join(beginning.decode("utf-8", "replace").split())
            logger.debug("%s: %s, and says: %s", self.describe(), outcome.reason, text)
        return outcome

    async def close(self) -> None:
        """Cut the requests under way."""
        if self._client is not None:
            self._client.close()

    def describe(self) -> str:
        return mask_url(self._url)


def classify(status: int, headers: Mapping[str, str]) -> Outcome:
    """What an answer means for the whole batch.

    2xx is confirmed; 408, 425, 429 and the passing 5xx are tried again; 400, 413 and 422 refuse the data; all
    others (credentials, wrong URL, redirects) need a person.
    """
    if 200 <= status < 300:
        return CONFIRMED
    reason = f"HTTP {status} {responses.get(status, '')}".rstrip()
    if 300 <= status < 400:
        reason = f"HTTP {status} redirects to {mask_url(headers.get('Location', 'nowhere'))}, not followed"
    if status in _RETRY_STATUS:
        return Outcome(Fate.RETRY, reason, retry_after(headers.get("Retry-After"), time.time()))
    return Outcome(Fate.REJECTED if status in _REJECT_STATUS else Fate.BLOCKED, reason)


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, in either of its forms; None when it has neither.

    `now` is the wall clock, for the form with a date (RFC 9110, 10.2.3).
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _cause(error: Exception) -> str:
    if isinstance(error, HTTPClientError):
        return error.message or str(error)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
