"""Tokens: what is granted, and everything that is not; the clock is a number."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from gateways.push.access import tokens
from gateways.push.access.gate import BadToken, ExpiredToken, UnknownKey
from gateways.push.access.grant import Right
from gateways.push.access.keys import KeySource, TokenKey, read_key_set
from gateways.push.access.tokens import TokenRules, TokenVerifier
from harness.tokens import NOW, SECRET, jwk_set, private_key, public_pem, token
from nsqgw.errors import ConfigError

HMAC_KEY = TokenKey("HS256", SECRET)


def verifier(*keys: TokenKey, now: float = NOW, **rules) -> TokenVerifier:
    return TokenVerifier(lambda: keys or (HMAC_KEY,), TokenRules(**rules), wall=lambda: now)


def test_a_good_token_grants_what_its_claims_say() -> None:
    claims = {
        "sub": "ada",
        "channels": ["events", "orders.*"],
        "rights": ["subscribe", "publish"],
        "info": {"a": 1},
    }
    grant = verifier().verify(token(**claims))
    assert (grant.user, grant.expires, grant.info) == ("ada", NOW + 3600, {"a": 1})
    assert grant.permits(Right.PUBLISH, "events")
    assert grant.permits(Right.SUBSCRIBE, "orders.eu")
    assert grant.permits(Right.SUBSCRIBE, "orders.eu.*")
    assert not grant.permits(Right.SUBSCRIBE, "orders*")
    assert not grant.permits(Right.SUBSCRIBE, "ordersx")
    assert not grant.permits(Right.SUBSCRIBE, "event*")
    assert not grant.permits(Right.PRESENCE, "events")


def test_without_channels_nothing_and_without_rights_subscribing_is_granted() -> None:
    assert not verifier().verify(token(channels=None)).permits(Right.SUBSCRIBE, "events")
    grant = verifier().verify(token())
    assert grant.rights == {Right.SUBSCRIBE}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_public_keys(algorithm: str, tmp_path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(public_pem(algorithm))
    key = KeySource.parse(f"alg={algorithm},file={path}").load()
    assert verifier(key).verify(token(private_key(algorithm), algorithm)).expires == NOW + 3600


@pytest.mark.parametrize(("algorithm", "size"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_secrets_have_the_size_of_their_hash(algorithm: str, size: int, monkeypatch) -> None:
    monkeypatch.setenv("KEY", "x" * size)
    key = KeySource.parse(f"alg={algorithm},env=KEY").load()
    assert verifier(key).verify(token("x" * size, algorithm)).expires
    monkeypatch.setenv("KEY", "x" * (size - 1))
    with pytest.raises(ConfigError, match=f"{size - 1} bytes are too few for {algorithm}"):
        KeySource.parse(f"alg={algorithm},env=KEY").load()


def _raw(header: dict, claims: dict, secret: bytes | None) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signed = b".".join(parts)
    signature = b"" if secret is None else hmac.new(secret, signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


CLAIMS = {"exp": NOW + 3600, "channels": ["events"]}


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None, "HS384", "RS256", ["HS256"], {}])
def test_other_algorithms_than_the_keys_are_refused(alg: object) -> None:
    for secret in (None, SECRET):
        with pytest.raises(BadToken):
            verifier().verify(_raw({"alg": alg, "typ": "JWT"}, CLAIMS, secret))


def test_a_time_out_of_all_bounds_is_none() -> None:
    with pytest.raises(BadToken, match="exp has to be a number of seconds"):
        verifier().verify(token(exp=10**400))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_public_key_is_never_a_shared_secret(algorithm: str, tmp_path, monkeypatch) -> None:
    pem = public_pem(algorithm)
    path = tmp_path / "key.pem"
    path.write_bytes(pem)
    key = KeySource.parse(f"alg={algorithm},file={path}").load()
    for secret in (pem, pem.strip()):
        with pytest.raises(
            BadToken, match=f"the algorithm 'HS256' of the token is not taken, the keys are for {algorithm}"
        ):
            verifier(key).verify(_raw({"alg": "HS256"}, CLAIMS, secret))
        with pytest.raises(BadToken, match="signature"):
            verifier(key, HMAC_KEY).verify(_raw({"alg": "HS256"}, CLAIMS, secret))
    monkeypatch.setenv("KEY", pem.decode())
    with pytest.raises(ConfigError, match="PEM file, and HS256 needs a shared secret"):
        KeySource.parse("alg=HS256,env=KEY").load()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "....",
        "é.é.é",
        "\ud800.x.y",
        "x" * 8193,
        "e30.e30.",
        token()[:-2],
        token() + "A",
    ],
)
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(BadToken):
        verifier().verify(text)


def test_a_forged_signature_and_changed_claims() -> None:
    with pytest.raises(BadToken, match="signature"):
        verifier().verify(token(b"another secret of thirty-two bytes or more"))
    head, _, signature = token().split(".")
    body = base64.urlsafe_b64encode(json.dumps({**CLAIMS, "channels": ["*"]}).encode()).rstrip(b"=").decode()
    with pytest.raises(BadToken, match="signature"):
        verifier().verify(f"{head}.{body}.{signature}")


@pytest.mark.parametrize("headers", [{"crit": ["x"], "x": 1}, {"crit": []}])
def test_extensions_are_refused(headers: dict) -> None:
    with pytest.raises(BadToken):
        verifier().verify(token(headers=headers))


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"exp": None}, "no exp"),
        ({"exp": "1900000000"}, "exp has to be a number"),
        ({"exp": True}, "exp has to be a number"),
        ({"exp": float("inf")}, "exp has to be a number"),
        ({"exp": NOW}, "expired"),
        ({"nbf": NOW + 61}, "not valid yet: nbf"),
        ({"iat": NOW + 61}, "not valid yet: iat"),
        ({"exp": NOW + 86_401}, "lives longer than 86400"),
        ({"exp": NOW + 60, "iat": NOW - 86_400}, "lives longer"),
        ({"sub": 5}, "sub has to be"),
        ({"sub": "x" * 256}, "sub has to be"),
        ({"channels": "events"}, "channels has to be a list"),
        ({"channels": [1]}, "channels has to be a list"),
        ({"channels": ["a*b"]}, "'a\\*b' is not valid"),
        ({"channels": [""]}, "'' is not valid"),
        ({"channels": ["c"] * 1001}, "1001 channels"),
        ({"rights": "publish"}, "rights has to be a list"),
    ],
)
def test_claims_that_do_not_hold(claims: dict, text: str) -> None:
    with pytest.raises(BadToken, match=text):
        verifier().verify(token(**claims))


def test_a_minute_of_skew_is_borne_but_not_for_the_end() -> None:
    assert verifier().verify(token(nbf=NOW + 60, iat=NOW + 60)).expires
    with pytest.raises(ExpiredToken):
        verifier(now=NOW + 3600).verify(token())


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({}, False),
        ({"aud": "push", "iss": "shop"}, True),
        ({"aud": ["x", "push"], "iss": "shop"}, True),
        ({"aud": "other", "iss": "shop"}, False),
        ({"aud": [], "iss": "shop"}, False),
        ({"aud": "push", "iss": "evil"}, False),
    ],
)
def test_audience_and_issuer(claims: dict, good: bool) -> None:
    judge = verifier(audience="push", issuer="shop")
    if good:
        assert judge.verify(token(**claims)).expires
    else:
        with pytest.raises(BadToken, match="another"):
            judge.verify(token(**claims))


def test_the_previous_key_goes_on_until_its_time() -> None:
    old = TokenKey("HS256", b"the previous secret, thirty-two bytes long", "old", until=NOW + 10)
    new = TokenKey("HS256", SECRET, "new")
    by_old = token(old.material, headers={"kid": "old"})
    assert verifier(new, old).verify(by_old).expires
    assert verifier(new, old).verify(token(headers={"kid": "new"})).expires
    assert verifier(new, old).verify(token()).expires  # without a name every key is tried
    with pytest.raises(BadToken):
        verifier(new, old, now=NOW + 10).verify(by_old)
    with pytest.raises(BadToken, match="signature"):
        verifier(new, old).verify(token(headers={"kid": "old"}))
    with pytest.raises(UnknownKey):
        verifier(new, old).verify(token(headers={"kid": "next"}))


def test_what_is_remembered_is_bounded_and_still_expires(monkeypatch) -> None:
    monkeypatch.setattr(tokens, "CACHED", 3)
    now, keys = NOW, [HMAC_KEY]
    judge = TokenVerifier(lambda: keys, TokenRules(), wall=lambda: now)
    for number in range(10):
        judge.verify(token(sub=str(number)))
        with pytest.raises(BadToken):
            judge.verify(f"forged {number}")
    assert judge.remembered == 3
    last = token(sub="9")
    keys = []
    with pytest.raises(UnknownKey):  # its key was taken away
        judge.verify(last)
    keys = [HMAC_KEY]
    judge.verify(last)
    now = NOW + 3600
    with pytest.raises(ExpiredToken):
        judge.verify(last)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_key_set(algorithm: str) -> None:
    (key,) = read_key_set(jwk_set(algorithm, "a"))
    assert (key.algorithm, key.kid) == (algorithm, "a")
    signed = token(private_key(algorithm), algorithm, headers={"kid": "a"})
    assert verifier(key).verify(signed).expires


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"keys": 5}',
        b'{"keys": []}',
        b'{"keys": ["x"]}',
        b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}',
        b'{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}',
        b'{"keys": [{"kty": "EC", "crv": "P-256", "use": "enc", "x": "", "y": ""}]}',
        b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "", "y": ""}]}',
        b"[" * 100_000,
        b" " * 262_145,
    ],
)
def test_what_is_no_key_set(data: bytes) -> None:
    with pytest.raises(ConfigError, match="JWK set"):
        read_key_set(data)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("HS256:/tmp/key", "there is no 'HS256:/tmp/key' here"),
        ("alg=none,file=x", "alg is .none., and has to be one of"),
        ("alg=HS256", "either file or env"),
        ("alg=HS256,file=x,env=y", "either file or env"),
        ("alg=HS256,file=x,until=soon", "until=soon is no time"),
    ],
)
def test_wrong_keys_are_named(text: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        KeySource.parse(text)


def test_keys_that_cannot_be_read(tmp_path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        KeySource.parse(f"alg=HS256,file={tmp_path}/none").load()
    with pytest.raises(ConfigError, match="the environment has none"):
        KeySource.parse("alg=HS256,env=NSQGW_TEST_NO_SUCH_KEY").load()
    (tmp_path / "ec.pem").write_bytes(public_pem("ES256"))
    with pytest.raises(ConfigError, match="RS256 needs an RSA public key of 2048 bits"):
        KeySource.parse(f"alg=RS256,file={tmp_path}/ec.pem").load()
