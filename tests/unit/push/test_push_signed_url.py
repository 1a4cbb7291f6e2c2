"""Signed URLs, ours and nginx's; the circuit of the auth request; what the settings refuse."""

from __future__ import annotations

import base64
import hashlib

import pytest

from gateways.push.access.auth_request import FAILURES, Circuit
from gateways.push.access.grant import Right
from gateways.push.access.proxies import TrustedProxies
from gateways.push.access.security import Security
from gateways.push.access.signed_url import SecureLinks, SignedUrls, sign
from gateways.push.http import BadRequest, Request
from nsqgw.errors import ConfigError

SECRET = b"sixteen bytes at least"
NOW = 1_800_000_000


def request(path: str, query: str = "", address: str = "192.0.2.1", **headers: str) -> Request:
    return Request("GET", path, query, headers, b"", address=address)


def signed(*secrets: bytes) -> SignedUrls:
    return SignedUrls(secrets or (SECRET,), wall=lambda: float(NOW))


def test_a_signed_url_permits_what_it_names() -> None:
    sig = sign(SECRET, "/stream/events", NOW + 1)
    grant = signed().grant(request("/stream/events", f"exp={NOW + 1}&sig={sig}&since=x"))
    assert grant is not None
    assert grant.rights == {Right.SUBSCRIBE}
    assert signed(b"the present secret", SECRET).grant(request("/stream/events", f"exp={NOW + 1}&sig={sig}"))
    assert signed().grant(request("/stream/events", "exp=5")) is None


SIG = sign(SECRET, "/stream/events", NOW + 1)


@pytest.mark.parametrize(
    ("path", "query", "text"),
    [
        ("/stream/other", f"exp={NOW + 1}&sig={SIG}", "signature of the URL is wrong"),
        ("/stream/events", f"exp={NOW + 2}&sig={SIG}", "signature of the URL is wrong"),
        ("/stream/events", f"exp={NOW + 1}&sig={SIG[:-1]}", "signature of the URL is wrong"),
        ("/stream/events", f"exp={NOW + 1}&sig=%C3%A9", "signature of the URL is wrong"),
        ("/stream/events", f"exp={NOW}&sig={sign(SECRET, '/stream/events', NOW)}", "the URL is expired"),
        ("/stream/events", f"sig={SIG}", "no valid time"),
        ("/stream/events", f"exp=-5&sig={SIG}", "no valid time"),
        ("/stream/events", f"exp={'9' * 13}&sig={SIG}", "no valid time"),
        ("/connect", f"exp={NOW + 1}&sig={sign(SECRET, '/connect', NOW + 1)}", "takes a token"),
    ],
)
def test_signatures_that_permit_nothing(path: str, query: str, text: str) -> None:
    with pytest.raises(BadRequest, match=text):
        signed().grant(request(path, query))


def md5(text: str) -> str:
    """As `openssl md5 -binary | openssl base64 | tr +/ -_ | tr -d =`, which nginx's page shows."""
    return base64.urlsafe_b64encode(hashlib.md5(text.encode()).digest()).rstrip(b"=").decode()


def test_nginx_secure_links() -> None:
    # the example in nginx's documentation of secure_link_md5
    links = SecureLinks(
        "$secure_link_expires$uri$remote_addr secret", TrustedProxies(["10.0.0.1"]), wall=lambda: 0
    )
    expected = md5("2147483647/s/link127.0.0.1 secret")
    assert expected == "_e4Nc3iduzkWRm01TBBNYw"
    query = f"md5={expected}&expires=2147483647"
    assert links.grant(request("/s/link", query, "127.0.0.1"))
    assert links.grant(request("/s/link", query, "10.0.0.1", **{"x-forwarded-for": "127.0.0.1"}))
    for address, path in (("127.0.0.2", "/s/link"), ("127.0.0.1", "/s/links")):
        with pytest.raises(BadRequest, match="signature"):
            links.grant(request(path, query, address))
    assert links.grant(request("/s/link")) is None


@pytest.mark.parametrize("expression", ["$uri secret", "secret", "$secure_link_expires$uri$host s"])
def test_expressions_that_sign_too_little_or_what_is_not_known(expression: str) -> None:
    with pytest.raises(ConfigError, match="secure_link_md5 expression"):
        SecureLinks(expression, TrustedProxies(()))


def test_short_secrets_are_refused() -> None:
    with pytest.raises(ConfigError, match="too short"):
        SignedUrls((b"short",))


def test_the_circuit_opens_after_failures_in_a_row_and_longer_each_time() -> None:
    circuit = Circuit()
    for _ in range(FAILURES - 1):
        circuit.note(0.0, good=False)
    circuit.note(0.0, good=True)
    for _ in range(FAILURES):
        assert circuit.waits(0.0) == 0
        circuit.note(0.0, good=False)
    assert circuit.waits(0.0) == 1
    assert circuit.waits(1.0) == 0
    circuit.note(1.0, good=False)
    assert circuit.waits(1.0) == 2
    circuit.note(3.0, good=True)
    assert circuit.waits(3.0) == 0


@pytest.mark.parametrize(
    ("listen", "settings", "origins", "text"),
    [
        ("0.0.0.0:80", {}, (), "--listen 0.0.0.0:80 can be reached .* --token-key, .* --allow-anonymous"),
        (":80", {}, (), "can be reached from other machines"),
        ("[::]:80", {}, (), "can be reached from other machines"),
        ("push.example:80", {}, (), "can be reached from other machines"),
        ("127.0.0.1:80", {"auth_request": "http://127.0.0.1/a"}, ("*",), "your users' cookies"),
    ],
)
def test_what_a_gateway_does_not_start_with(listen: str, settings: dict, origins: tuple, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Security(**settings).check_exposure(listen, origins)


@pytest.mark.parametrize(
    ("listen", "settings"),
    [
        ("127.0.0.1:80", {}),
        ("localhost:80", {}),
        ("[::1]:80", {}),
        ("0.0.0.0:80", {"allow_anonymous": True}),
        ("0.0.0.0:80", {"token_keys": ("alg=HS256,env=K",)}),
        ("0.0.0.0:80", {"signed_url_secrets": ("env:K",)}),
        ("0.0.0.0:80", {"auth_request": "http://127.0.0.1/a"}),
    ],
)
def test_what_it_starts_with(listen: str, settings: dict) -> None:
    Security(**settings).check_exposure(listen, ())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"signed_url_secrets": ("hunter2",)}, "write file:PATH or env:NAME"),
        ({"token_jwks": "http://keys.example/"}, "give an https URL"),
        ({"auth_request": "ftp://x"}, "give an http or https URL"),
        ({"proxy_protocol": True}, "--trusted-proxy"),
        ({"proxy_protocol": True, "trusted_proxies": ("::1",), "tls_cert": "x"}, "do not go together"),
        ({"tls_key": "x"}, "--tls-key needs --tls-cert"),
        ({"token_audience": "x"}, "no key"),
    ],
)
def test_settings_that_do_not_fit(settings: dict, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Security(**settings)


def test_no_secret_is_shown() -> None:
    shown = Security(auth_request="http://u:hunter2@h/p?k=hunter2", token_jwks="https://h/hunter2").shown()
    assert "hunter2" not in str(shown)
