"""Signature Version 4 against the examples that AWS gives for S3."""

from __future__ import annotations

from datetime import datetime, timezone

from gateways.ship.sinks.aws_signature import AwsCredentials, sign

CREDENTIALS = AwsCredentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW = datetime(2013, 5, 24, tzinfo=timezone.utc)
HOST = {"Host": "examplebucket.s3.amazonaws.com"}


def signature(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> str:
    added = sign(method, target, HOST | headers, body, CREDENTIALS, region="us-east-1", service="s3", now=NOW)
    return added["Authorization"].rpartition("=")[2]


def test_a_get_with_a_range() -> None:
    expected = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    assert signature("GET", "/test.txt", {"Range": "bytes=0-9"}) == expected


def test_a_put_with_an_encoded_key() -> None:
    headers = {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    expected = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    assert signature("PUT", "/test%24file.text", headers, b"Welcome to Amazon S3.") == expected


def test_a_query_is_signed_in_order() -> None:
    expected = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    assert signature("GET", "/?prefix=J&max-keys=2", {}) == expected


def test_secrets_are_not_shown() -> None:
    assert "wJalr" not in repr(CREDENTIALS)


def test_a_session_token_goes_along() -> None:
    credentials = AwsCredentials("id", "secret", "token")
    added = sign("PUT", "/", HOST, b"", credentials, region="r", service="s3", now=NOW)
    assert added["X-Amz-Security-Token"] == "token"
    assert "x-amz-security-token" in added["Authorization"]
