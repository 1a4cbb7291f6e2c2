"""Tokens for tests: a secret, a pair of keys of each kind, and what is signed by them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET = b"a secret of thirty-two bytes or more, for tests"
NOW = 1_800_000_000.0


@cache
def private_key(algorithm: str) -> Any:
    """A key that signs by `algorithm`."""
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, 2048)
    return (
        ec.generate_private_key(ec.SECP256R1())
        if algorithm == "ES256"
        else ed25519.Ed25519PrivateKey.generate()
    )


def public_pem(algorithm: str) -> bytes:
    """Its other half, as people put it into files."""
    key = private_key(algorithm).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk_set(algorithm: str, kid: str) -> bytes:
    """The same as a JWK set."""
    maker = jwt.get_algorithm_by_name(algorithm)
    return json.dumps(
        {"keys": [{**maker.to_jwk(private_key(algorithm).public_key(), as_dict=True), "kid": kid}]}
    ).encode()


def token(
    key: Any = SECRET,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
    now: float = NOW,
    **claims: Any,
) -> str:
    """A token for an hour that may subscribe to `events`; a claim that is None is left out."""
    all_claims = {"exp": now + 3600, "channels": ["events"], **claims}
    given = {name: value for name, value in all_claims.items() if value is not None}
    return jwt.encode(given, key, algorithm, headers=headers)
