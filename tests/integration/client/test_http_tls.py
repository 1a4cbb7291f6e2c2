"""HTTPS and client certificates against both kinds of nsqd, through both HTTP clients."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from harness.certificates import Certificates, make_certificates
from harness.daemons import Daemon
from nsqgw.config import TlsConfig
from nsqgw.errors import ConfigError, ConnectionClosed, ConnectionFailed
from nsqgw.http import LookupdHttp, LookupdHttpAsync, NsqdHttp, NsqdHttpAsync

Client = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def start_tls_nsqd(
    certificates: Certificates, start_nsqd: Callable[..., Daemon]
) -> Callable[..., tuple[Daemon, str]]:
    """Starts an nsqd with TLS; gives it and the address of its HTTPS port."""
    files = {"tls_cert": certificates.server, "tls_key": certificates.server_key}

    def start(**flags: Any) -> tuple[Daemon, str]:
        daemon = start_nsqd(**files, **flags)
        return daemon, daemon.https_address

    return start


@pytest.fixture(params=["blocking", "async"])
def ask(request: pytest.FixtureRequest) -> Client:
    """Calls `publish` and gives /info, by a new client."""

    async def by_async(address: str, **options: Any) -> Any:
        async with NsqdHttpAsync(address, **options) as client:
            await client.publish("t", b"x" * 100_000)
            return await client.info()

    def blocking(address: str, **options: Any) -> Any:
        with NsqdHttp(address, **options) as client:
            client.publish("t", b"x" * 100_000)
            return client.info()

    async def in_thread(address: str, **options: Any) -> Any:
        return await asyncio.to_thread(blocking, address, **options)

    return by_async if request.param == "async" else in_thread


async def test_https_with_an_own_authority(
    ask: Client, start_tls_nsqd: Any, certificates: Certificates
) -> None:
    _, https = start_tls_nsqd()
    info = await ask(f"https://{https}", tls=TlsConfig(ca_file=certificates.ca))
    assert info.version
    context = ssl.create_default_context(cafile=certificates.ca)
    assert (await ask(f"https://{https}", tls=context)) == info
    by_name = TlsConfig(ca_file=certificates.ca, server_name="nsqd.example")
    assert (await ask(f"https://{https}", tls=by_name)) == info


@pytest.mark.parametrize("name", [None, "other.example"])
async def test_certificates_are_verified(
    ask: Client, start_tls_nsqd: Any, certificates: Certificates, name: str | None
) -> None:
    _, https = start_tls_nsqd()
    tls = None if name is None else TlsConfig(ca_file=certificates.ca, server_name=name)
    with pytest.raises(ConnectionFailed) as raised:
        await ask(f"https://{https}", tls=tls)
    assert "TLS handshake failed: " in str(raised.value)
    assert ("self" in str(raised.value) or "issuer" in str(raised.value)) == (name is None)
    assert len(str(raised.value).splitlines()) == 1


async def test_unless_told_otherwise(ask: Client, start_tls_nsqd: Any) -> None:
    _, https = start_tls_nsqd()
    assert (await ask(f"https://{https}", tls=TlsConfig(verify=False))).version


async def test_tls_required_is_followed_to_https(
    ask: Client, start_tls_nsqd: Any, certificates: Certificates
) -> None:
    daemon, https = start_tls_nsqd(tls_required=True)
    assert (await ask(daemon.http_address, tls=TlsConfig(ca_file=certificates.ca))).version
    with pytest.raises(ConnectionFailed) as raised:
        await ask(daemon.http_address)
    assert str(raised.value).startswith((f"https://{https}: ", f"{https}: "))


async def test_client_certificates(ask: Client, start_tls_nsqd: Any, certificates: Certificates) -> None:
    _, https = start_tls_nsqd(tls_client_auth_policy="require-verify", tls_root_ca_file=certificates.ca)
    address = f"https://{https}"
    with_own = TlsConfig(ca_file=certificates.ca, cert_file=certificates.client)
    assert (await ask(address, tls=with_own)).version
    with pytest.raises((ConnectionFailed, ConnectionClosed)):
        await ask(address, tls=TlsConfig(ca_file=certificates.ca))


@pytest.mark.parametrize("client", [NsqdHttp, NsqdHttpAsync, LookupdHttp, LookupdHttpAsync])
def test_files_that_cannot_be_used_are_told_at_once(client: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ca_file"):
        client("https://127.0.0.1:1", tls=TlsConfig(ca_file=str(tmp_path / "none.pem")))
