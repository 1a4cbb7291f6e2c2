"""The keys that tokens are verified with, each with the one algorithm it is for.

A key knows its algorithm, so what a token's header claims can only agree or be refused: no `none`, and no
public key ever taken for a shared secret. Keys come from the settings (PEM or secret, in a file or the
environment) or from a JWK set (RFC 7517).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from nsqgw.errors import ConfigError

SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The shortest secrets, as long as what they sign with (RFC 7518, section 3.2)."""
MIN_RSA_BITS = 2048
MAX_KEYS = 32
MAX_SET_BYTES = 262_144

_PUBLIC: Mapping[str, Callable[[object], bool]] = {
    "RS256": lambda key: isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS,
    "ES256": lambda key: isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1),
    "EdDSA": lambda key: isinstance(key, Ed25519PublicKey),
}
_NEEDED = {
    "RS256": f"an RSA public key of {MIN_RSA_BITS} bits or more",
    "ES256": "a public key on the curve P-256",
    "EdDSA": "an Ed25519 public key",
}
ALGORITHMS = (*SECRET_BYTES, *_PUBLIC)

_MEMBERS = frozenset({"alg", "file", "env", "kid", "until"})
_EXAMPLE = (
    "write alg=HS256,file=/etc/nsqgw/token.key or alg=RS256,env=TOKEN_PEM,kid=a,until=2026-12-31T00:00:00Z"
)
_JWK_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}


@dataclass(frozen=True)
class TokenKey:
    """A key for one algorithm; `until` is the time since the epoch from which it verifies nothing."""

    algorithm: str
    material: Any = field(repr=False)
    kid: str | None = None
    until: float = math.inf


@dataclass(frozen=True)
class KeySource:
    """Where a key of the settings is: in a file, or in an environment variable."""

    algorithm: str
    file: str | None = None
    env: str | None = None
    kid: str | None = None
    until: float = math.inf

    @classmethod
    def parse(cls, text: str) -> KeySource:
        """From `alg=HS256,file=/path,kid=a,until=2026-12-31T00:00:00Z`; ConfigError names what is wrong."""
        members = dict(entry.partition("=")[::2] for entry in text.split(","))
        strange = sorted(set(members) - _MEMBERS)
        if strange:
            raise ConfigError(f"token key: there is no {strange[0]!r} here; {_EXAMPLE}")
        if members.get("alg") not in ALGORITHMS:
            given = repr(members["alg"]) if "alg" in members else "missing"
            raise ConfigError(
                f"token key: alg is {given}, and has to be one of {', '.join(ALGORITHMS)}; {_EXAMPLE}"
            )
        if ("file" in members) == ("env" in members):
            raise ConfigError(f"token key: give either file or env; {_EXAMPLE}")
        until = _time(members["until"]) if "until" in members else math.inf
        return cls(members["alg"], members.get("file"), members.get("env"), members.get("kid"), until)

    def load(self) -> TokenKey:
        """Read it; ConfigError when it is not there, too weak, or of another kind than `algorithm` needs."""
        where = self.file if self.file is not None else f"${self.env}"
        data = read_source(self.file, self.env)
        shortest = SECRET_BYTES.get(self.algorithm)
        if shortest is None:
            return TokenKey(self.algorithm, self._public(data, where), self.kid, self.until)
        if len(data) < shortest:
            raise ConfigError(
                f"token key {where}: {len(data)} bytes are too few for {self.algorithm}, "
                f"take {shortest} random ones"
            )
        if b"-----BEGIN" in data:
            raise ConfigError(
                f"token key {where}: this is a PEM file, and {self.algorithm} needs a shared secret"
            )
        return TokenKey(self.algorithm, data, self.kid, self.until)

    def _public(self, data: bytes, where: str) -> object:
        try:
            key = load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not _PUBLIC[self.algorithm](key):
            raise ConfigError(f"token key {where}: {self.algorithm} needs {_NEEDED[self.algorithm]} in PEM")
        return key


def read_source(file: str | None, env: str | None) -> bytes:
    """The secret in a file or an environment variable, without white space around; ConfigError for none."""
    if file is None:
        text = os.environ.get(env or "")
        if not text:
            raise ConfigError(f"secret ${env}: the environment has none, set it")
        return text.encode().strip()
    try:
        return Path(file).read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"secret file {file}: {error.strerror}, give a readable file") from None


def read_key_set(data: bytes) -> tuple[TokenKey, ...]:
    """The public keys for signatures in a JWK set; ConfigError when there is none, or it is too large."""
    if len(data) > MAX_SET_BYTES:
        raise ConfigError(f"the JWK set has {len(data)} bytes, at most {MAX_SET_BYTES} are read")
    try:
        entries = json.loads(data)["keys"]
        keys = tuple(key for entry in entries[:MAX_KEYS] if (key := _key_of(entry)) is not None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigError('this is no JWK set: {"keys": [...]} is expected') from None
    if not keys:
        raise ConfigError(f"the JWK set has no public key for {', '.join(_PUBLIC)}")
    return keys


def _key_of(entry: Mapping[str, Any]) -> TokenKey | None:
    """None for what is no public key of ours: shared secrets have no place in a set that is handed out."""
    algorithm: str = entry.get("alg") or _JWK_ALGORITHMS.get((entry.get("kty", ""), entry.get("crv")), "")
    if algorithm not in _PUBLIC or entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    try:
        material = PyJWK(dict(entry), algorithm=algorithm).key
    except PyJWTError:
        return None
    if not _PUBLIC[algorithm](material):
        return None
    kid = entry.get("kid")
    return TokenKey(algorithm, material, kid if isinstance(kid, str) else None)


def _time(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ConfigError(f"token key: until={text} is no time; {_EXAMPLE}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
