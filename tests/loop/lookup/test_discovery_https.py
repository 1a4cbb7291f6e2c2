"""Discovery by HTTPS and with secrets: an nsqlookupd behind a server that wants to know who asks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tornado.web import RequestHandler

from harness.certificates import Certificates, make_certificates
from harness.polling import eventually_async
from harness.web import serving
from nsqgw import Consumer
from nsqgw.errors import ConfigError, HttpError, NotConnected
from nsqgw.http import LookupdHttpAsync
from nsqgw.instrument import LookupFailed

ACCEPTED = ("Bearer s3cret", "Basic dXNlcjpwYXNzd29yZA==")  # the latter is user:password


class _Lookup(RequestHandler):
    def get(self) -> None:
        if self.request.headers.get("Authorization") not in ACCEPTED:
            self.set_status(401)
            self.finish("who are you?")
            return
        node = {"broadcast_address": "127.0.0.1", "tcp_port": 1}
        self.finish(json.dumps({"channels": [], "producers": [node]}))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def lookupd(certificates: Certificates) -> AsyncIterator[str]:
    async with serving(("/lookup", _Lookup), tls=certificates.serving) as address:
        yield address


def consumer(address: str, facts: list[Any], **options: Any) -> Consumer:
    return Consumer("t", "c", print, lookupd_http_addresses=[address], on_fact=facts.append, **options)


@pytest.mark.parametrize(("user", "secret"), [("", "s3cret"), ("user:password@", None)])
async def test_a_consumer_finds(
    lookupd: str, certificates: Certificates, user: str, secret: str | None
) -> None:
    facts: list[Any] = []
    options = {"lookupd_tls": certificates.trusted, "lookupd_auth_secret": secret}
    async with consumer(f"https://{user}{lookupd}", facts, **options):
        await eventually_async(lambda: facts, what="the attempt to connect to what was found")
    assert facts[0].address == "127.0.0.1:1"
    assert [fact for fact in facts if isinstance(fact, LookupFailed)] == []


async def test_a_refusal_is_told_without_the_password(lookupd: str, certificates: Certificates) -> None:
    facts: list[Any] = []
    async with consumer(f"https://user:wrong@{lookupd}", facts, lookupd_tls=certificates.trusted) as waiting:
        await eventually_async(lambda: facts, what="the failed lookup")
        with pytest.raises(NotConnected, match="401") as raised:
            await waiting.wait_connected(0.1)
    assert isinstance(facts[0], LookupFailed)
    assert facts[0].address == f"https://{lookupd}"
    for text in (str(facts[0]), str(facts[0].error), str(raised.value)):
        assert "wrong" not in text


async def test_the_certificate_is_verified(lookupd: str) -> None:
    facts: list[Any] = []
    async with consumer(f"https://{lookupd}", facts, lookupd_auth_secret="s3cret"):
        await eventually_async(lambda: facts, what="the failed lookup")
    assert "TLS handshake failed" in str(facts[0].error)


async def test_certificates_that_cannot_be_used_are_told_at_the_start(tmp_path: Path) -> None:
    missing = Certificates(*[str(tmp_path / "none.pem")] * 4)
    with pytest.raises(ConfigError, match="ca_file"):
        await consumer("https://127.0.0.1:1", [], lookupd_tls=missing.trusted).start()


async def test_a_client_takes_the_same_address(lookupd: str, certificates: Certificates) -> None:
    address, tls = f"https://{lookupd}/lookup", certificates.trusted
    async with LookupdHttpAsync(address, tls=tls, auth_secret="s3cret") as client:
        (node,) = (await client.lookup("t")).producers
        assert node.tcp_address == "127.0.0.1:1"
    async with LookupdHttpAsync(address, tls=tls) as client:
        with pytest.raises(HttpError, match="401 'who are you\\?'"):
            await client.lookup("t")
