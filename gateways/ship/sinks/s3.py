"""S3 and what is compatible with it: a batch is one object of lines.

Its name ends in a hash of its events' keys: a batch that is sent again replaces itself.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Literal
from urllib.parse import quote

from pydantic import Field, field_validator

from gateways.pipeline.batch import Batch
from gateways.pipeline.identity import event_id
from gateways.pipeline.sink import Fate, Outcome, SinkUnusable
from gateways.service.values import Bytes, Secret
from gateways.ship.sinks.aws_signature import AwsCredentials, sign
from gateways.ship.sinks.compression import Compression
from gateways.ship.sinks.http_answers import Answer
from gateways.ship.sinks.http_base import HttpRequest, HttpSinkBase, SignedRequest
from gateways.ship.sinks.http_settings import HttpSinkSettings
from gateways.ship.sinks.ndjson import ndjson_line
from gateways.ship.sinks.parts import addressed
from gateways.ship.sinks.rendering import rendered_or
from gateways.ship.sinks.settings import TemplateText
from gateways.ship.template import Template, in_path
from nsqgw.message import Message

_ENDINGS = {"none": "", "gzip": ".gz", "zstd": ".zst", "deflate": ".zz", "snappy": ".snappy"}
_PASSING = (b"<Code>RequestTimeout</Code>", b"<Code>OperationAborted</Code>", b"<Code>SlowDown</Code>")


class S3Settings(HttpSinkSettings):
    """A bucket: `url` leads to it, such as https://BUCKET.s3.eu-west-1.amazonaws.com or https://host/BUCKET."""

    type: Literal["s3"] = "s3"
    region: str = Field(default="us-east-1", description="that requests are signed for")
    access_key_id: str | None = Field(default=None, description="by default $AWS_ACCESS_KEY_ID")
    secret_access_key: Secret | None = Field(default=None, description="by default $AWS_SECRET_ACCESS_KEY")
    session_token: Secret | None = Field(default=None, description="of credentials that expire")
    prefix: TemplateText = Field(
        default="{topic}/%Y/%m/%d/%H/", description="template of what goes before the object's own name"
    )
    fallback_prefix: str = Field(
        default="unrouted/", description="for events that lack a field of the prefix"
    )
    compression: Compression = Field(default="gzip", description="of objects")
    max_bytes: Bytes = Field(default=100_000_000, gt=0, description="of one batch, uncompressed")

    @field_validator("prefix", "fallback_prefix")
    @classmethod
    def _check_prefix(cls, value: str) -> str:
        if value.startswith("/"):
            raise ValueError(f"prefix {value!r} must not begin with a slash: leave it out")
        return value

    def credentials(self) -> AwsCredentials:
        """As set, else those of the environment. Raises SinkUnusable when there are none."""
        if self.access_key_id is not None and self.secret_access_key is not None:
            token = self.session_token.get_secret_value() if self.session_token is not None else None
            return AwsCredentials(self.access_key_id, self.secret_access_key.get_secret_value(), token)
        try:
            return AwsCredentials(
                os.environ["AWS_ACCESS_KEY_ID"],
                os.environ["AWS_SECRET_ACCESS_KEY"],
                os.environ.get("AWS_SESSION_TOKEN"),
            )
        except KeyError as error:
            raise SinkUnusable(
                f"no credentials for S3: set access_key_id and secret_access_key, or ${error.args[0]}"
            ) from error

    def make(self, concurrency: int) -> S3Sink:
        """The sink, with at most `concurrency` batches at once."""
        return S3Sink(self, concurrency)


class S3Sink(HttpSinkBase):
    """One event a line; the place of an event is the prefix of its object."""

    kind = "s3"
    health = HttpRequest(b"", method="HEAD", path="/")

    def __init__(self, settings: S3Settings, concurrency: int) -> None:
        super().__init__(settings, concurrency)
        self._settings = settings
        self._prefix = Template(settings.prefix, escape=in_path)
        self._credentials: AwsCredentials | None = None
        self.has_places = not self._prefix.is_constant
        self.max_bytes = settings.max_bytes

    async def open(self) -> None:
        """Look for credentials, too. Raises SinkUnusable."""
        self._credentials = self._settings.credentials()
        await super().open()

    def encode(self, message: Message) -> bytes:
        """One line; see `ndjson_line`."""
        line = ndjson_line(message.body)
        if not self.has_places:
            return line
        return addressed(line, rendered_or(self._prefix, message, self._settings.fallback_prefix))

    def request(self, batch: Batch, place: str) -> HttpRequest:
        """PUT the lines under a name that is the same for the same events."""
        keys = "\n".join([event_id(message) for message in batch.messages])
        first = min(message.timestamp for message in batch.messages) // 1_000_000_000
        name = f"{first}-{hashlib.sha256(keys.encode()).hexdigest()[:32]}.ndjson"
        key = f"{place or self._settings.prefix}{name}{_ENDINGS[self._settings.compression]}"
        return HttpRequest(
            b"\n".join(batch.events) + b"\n",
            {"Content-Type": "application/x-ndjson"},
            method="PUT",
            path=f"/{quote(key, safe='/-_.~')}",
        )

    def judge(self, batch: Batch, answer: Answer) -> Outcome:
        """No event is to blame for what S3 does not take; some of its refusals pass."""
        outcome = super().judge(batch, answer)
        if outcome.fate is Fate.CONFIRMED:
            return outcome
        if any(code in answer.body for code in _PASSING):
            return Outcome(Fate.RETRY, answer.summary, outcome.retry_after)
        return replace(outcome, fate=Fate.BLOCKED) if outcome.fate is Fate.REJECTED else outcome

    def signature(self, request: SignedRequest) -> Mapping[str, str]:
        """Signature Version 4 over host, content and time."""
        assert self._credentials is not None, "the sink was not opened"
        return sign(
            request.method,
            request.target,
            {"Host": request.host},
            request.body,
            self._credentials,
            region=self._settings.region,
            service="s3",
            now=datetime.now(timezone.utc),
        )
