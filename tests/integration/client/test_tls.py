"""TLS with both kinds of nsqd: who is trusted, what is told otherwise, and that bodies come as they went."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from harness.daemons import Daemon
from harness.load import Load
from harness.polling import eventually_async
from harness.proxy import Proxy
from harness.scripted import QUICK
from nsqgw import ConnectionConfig, Consumer, Producer
from nsqgw.config import TlsConfig
from nsqgw.errors import ConnectionClosed, ConnectionFailed, Invalid, NotConnected, NSQError
from nsqgw.instrument import ConnectFailed, Disconnected, Fact

SIZES = (1, 63, 200, 4096, 65536, 200_000, 1_000_000)
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)


class Files:
    """A certificate authority and what it issues, as PEM files in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca_file)

    def issue(self, name: str, *identities: str, **options: Any) -> tuple[str, str]:
        """Certificate and key in files called `name`; again for the same name replaces them."""
        issued = self._authority.issue_cert(*identities, **options)
        cert, key = str(self._directory / f"{name}.pem"), str(self._directory / f"{name}-key.pem")
        Path(cert).write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return cert, key


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def start(start_nsqd: Callable[..., Daemon]) -> Callable[..., Daemon]:
    """Starts nsqd with a certificate and further flags."""
    return lambda files, **flags: start_nsqd(tls_cert=files[0], tls_key=files[1], **flags)


async def works(daemon: Daemon, tls: Any, address: str | None = None, **options: Any) -> None:
    """Bodies of all sizes go to nsqd and back."""
    source = [address or daemon.tcp_address]
    connection = ConnectionConfig(tls=tls, **options)
    bodies = [bytes(range(256)) * (size // 256) + b"x" * (size % 256) for size in SIZES]
    seen: list[bytes] = []
    async with (
        Consumer("t", "ch", lambda m: seen.append(m.body), nsqd_tcp_addresses=source, connection=connection),
        Producer(source, connection=connection) as producer,
    ):
        for body in bodies:
            await producer.publish("t", body)
        await producer.publish_many("t", bodies)
        await eventually_async(lambda: len(seen) == 2 * len(bodies), 30)
    assert sorted(seen) == sorted(2 * bodies)


def errors_in(facts: list[Fact]) -> list[NSQError]:
    return [fact.error for fact in facts if isinstance(fact, ConnectFailed | Disconnected) and fact.error]


async def refusal(daemon: Daemon, tls: Any, kind: type[NSQError]) -> str:
    """What a consumer tells of its address, and a producer the same."""
    facts: list[Fact] = []
    options: dict[str, Any] = QUICK | {"connection": ConnectionConfig(tls=tls), "on_fact": facts.append}
    async with (
        Consumer("t", "ch", print, nsqd_tcp_addresses=[daemon.tcp_address], **options) as consumer,
        Producer([daemon.tcp_address], **options) as producer,
    ):
        await eventually_async(lambda: len(errors_in(facts)) > 4, what="both keep trying")
        for client in (consumer, producer):
            with pytest.raises(NotConnected) as caught:
                await client.wait_connected(0.01)
            assert daemon.tcp_address in str(caught.value)
    errors = errors_in(facts)
    assert {type(error) for error in errors} == {kind}
    assert all(str(error).startswith(daemon.tcp_address) for error in errors)
    return str(caught.value)


@pytest.mark.parametrize("compression", ["plain", "snappy", "deflate"])
async def test_bodies_from_a_byte_to_a_megabyte(
    files: Files, start: Callable[..., Daemon], compression: str
) -> None:
    daemon = start(files.issue("server", "127.0.0.1"))
    options = {} if compression == "plain" else {compression: True}
    await works(daemon, TlsConfig(ca_file=files.ca_file), **options)


async def test_an_ssl_context_is_used_as_it_is(files: Files, start: Callable[..., Daemon]) -> None:
    daemon = start(files.issue("server", "127.0.0.1"), tls_min_version="tls1.3")
    await works(daemon, ssl.create_default_context(cafile=files.ca_file))


async def test_the_name_in_the_certificate_may_be_given(files: Files, start: Callable[..., Daemon]) -> None:
    daemon = start(files.issue("server", "nsqd.example"))
    await works(daemon, TlsConfig(ca_file=files.ca_file, server_name="nsqd.example"))


async def test_without_verification_any_certificate_does(files: Files, start: Callable[..., Daemon]) -> None:
    daemon = start(
        files.issue("server", "elsewhere.example", not_after=PAST, not_before=PAST - datetime.timedelta(1))
    )
    await works(daemon, TlsConfig(verify=False))


async def test_over_a_unix_socket_the_name_is_given_or_localhost(
    files: Files, start: Callable[..., Daemon], tmp_path: Path
) -> None:
    daemon = start(files.issue("server", "localhost"), tcp_address=str(tmp_path / "nsqd.sock"))
    await works(daemon, TlsConfig(ca_file=files.ca_file))


async def test_a_client_certificate_where_nsqd_asks_for_one(
    files: Files, start: Callable[..., Daemon]
) -> None:
    policy = {"tls_client_auth_policy": "require-verify", "tls_root_ca_file": files.ca_file}
    daemon = start(files.issue("server", "127.0.0.1"), **policy)
    cert_file, key_file = files.issue("client", "client.example")
    await works(daemon, TlsConfig(ca_file=files.ca_file, cert_file=cert_file, key_file=key_file))
    words = await refusal(daemon, TlsConfig(ca_file=files.ca_file), ConnectionFailed)
    assert "certificate" in words


@pytest.mark.parametrize(
    ("identity", "options", "words"),
    [
        (
            "127.0.0.1",
            {"not_before": PAST - datetime.timedelta(1), "not_after": PAST},
            "certificate has expired",
        ),
        ("other.example", {}, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ],
    ids=["expired", "wrong-name"],
)
async def test_a_bad_certificate_is_refused_with_the_reason(
    files: Files, start: Callable[..., Daemon], identity: str, options: dict[str, Any], words: str
) -> None:
    daemon = start(files.issue("server", identity, **options))
    told = await refusal(daemon, TlsConfig(ca_file=files.ca_file), ConnectionFailed)
    assert words in told


@pytest.mark.parametrize("tls", [True, TlsConfig()], ids=["system", "config"])
async def test_an_unknown_authority_is_refused_with_the_reason(
    files: Files, start: Callable[..., Daemon], tls: Any
) -> None:
    """The system's authorities count when none is given, and know nothing of ours."""
    daemon = start(files.issue("server", "127.0.0.1"))
    assert "unable to get local issuer certificate" in await refusal(daemon, tls, ConnectionFailed)


async def test_an_nsqd_without_tls_is_never_spoken_to_in_the_clear(
    files: Files, start_nsqd: Callable[..., Daemon]
) -> None:
    daemon = start_nsqd()
    told = await refusal(daemon, TlsConfig(ca_file=files.ca_file), ConnectionFailed)
    assert "this nsqd does not offer TLS, and tls is set" in told


async def test_an_nsqd_that_requires_tls_says_so(files: Files, start: Callable[..., Daemon]) -> None:
    """It takes IDENTIFY in the clear, and refuses the first command behind it."""
    daemon = start(files.issue("server", "127.0.0.1"), tls_required=True)
    facts: list[Fact] = []
    options: dict[str, Any] = QUICK | {"on_fact": facts.append}
    async with (
        Consumer("t", "ch", print, nsqd_tcp_addresses=[daemon.tcp_address], **options) as consumer,
        Producer([daemon.tcp_address], **options) as producer,
    ):
        with pytest.raises(Invalid, match="TLS required"):
            await producer.publish("t", b"x")
        await eventually_async(lambda: len(errors_in(facts)) > 4, what="the consumer keeps trying")
        with pytest.raises(NotConnected, match=f"{daemon.tcp_address}: E_INVALID cannot SUB .*TLS required"):
            await consumer.wait_connected(0.01)
    assert {type(error) for error in errors_in(facts)} == {Invalid}


async def test_consumer_and_producer_recover_when_the_certificate_is_replaced(
    files: Files, start: Callable[..., Daemon]
) -> None:
    """The administrator puts a valid certificate into the same files and starts nsqd again."""
    daemon = start(
        files.issue("server", "127.0.0.1", not_before=PAST - datetime.timedelta(1), not_after=PAST)
    )
    facts: list[Fact] = []
    seen: list[bytes] = []
    connection = ConnectionConfig(tls=TlsConfig(ca_file=files.ca_file))
    options: dict[str, Any] = QUICK | {"connection": connection, "on_fact": facts.append}
    async with (
        Consumer(
            "t", "ch", lambda m: seen.append(m.body), nsqd_tcp_addresses=[daemon.tcp_address], **options
        ),
        Producer([daemon.tcp_address], **options) as producer,
    ):
        await eventually_async(lambda: len([fact for fact in facts if isinstance(fact, ConnectFailed)]) > 3)
        daemon.stop()
        files.issue("server", "127.0.0.1")
        daemon.start()
        await producer.publish("t", b"at last", timeout=15)
        await eventually_async(lambda: seen == [b"at last"])


async def test_a_network_that_breaks_below_tls_is_a_lost_connection(
    files: Files, start: Callable[..., Daemon]
) -> None:
    """Without TLS's own good-bye, or reset in the middle of a record: both carry on, with typed errors."""
    daemon = start(files.issue("server", "127.0.0.1"))
    connection = ConnectionConfig(tls=TlsConfig(ca_file=files.ca_file))
    async with Proxy(daemon.tcp_address) as proxy:
        load = Load("t", [proxy.address], [proxy.address], connection=connection)
        async with load.consumer, load.producer:
            await load.start_publishing()
            for end in (proxy.cut, proxy.reset, proxy.cut, proxy.reset):
                end()
                await load.goes_on(20)
            await load.stop_publishing()
    assert len(load.disconnects()) == 8
    assert {type(fact.error) for fact in load.disconnects()} == {ConnectionClosed}
    assert all(str(fact.error).startswith(proxy.address) for fact in load.disconnects())
