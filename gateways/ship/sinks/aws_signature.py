"""AWS Signature Version 4 in the Authorization header: pure, the time is passed in."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """Who asks. `session_token` belongs to credentials that expire."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def sign(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: AwsCredentials,
    *,
    region: str,
    service: str,
    now: datetime,
) -> dict[str, str]:
    """The headers to add to a request for `target`, a path and query that are encoded already.

    All of `headers` are signed; Host must be among them. `now` is in UTC.
    """
    payload = hashlib.sha256(body).hexdigest()
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    added = {"X-Amz-Date": stamp, "X-Amz-Content-Sha256": payload}
    if credentials.session_token is not None:
        added["X-Amz-Security-Token"] = credentials.session_token
    signed = {name.lower(): " ".join(value.split()) for name, value in {**headers, **added}.items()}
    names = ";".join(sorted(signed))
    path, _, query = target.partition("?")
    canonical = "\n".join(
        (
            method,
            path,
            "&".join(sorted(query.split("&"))),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
        )
    )
    request = f"{canonical}\n\n{names}\n{payload}"
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    signature = _hmac(key, text).hex()
    who = f"Credential={credentials.access_key_id}/{scope}"
    return {**added, "Authorization": f"{_ALGORITHM} {who},SignedHeaders={names},Signature={signature}"}


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
