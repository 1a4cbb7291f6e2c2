"""TLS on the TCP port (nsqd-tcp 5.3, 5.4): the upgrade, what comes with it, and who is let in."""

from __future__ import annotations

import os
import socket
import ssl
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from harness.certificates import Certificates
from harness.daemons import Daemon
from harness.encrypted import CODECS, Layered
from harness.http import stats
from harness.wire import ERROR, MESSAGE, RESPONSE, Closed, Wire

StartTls = Callable[..., Daemon]

SIZES = (1, 2, 63, 64, 1000, 16_383, 16_384, 65_536, 65_537, 300_000, 1_000_000)
REFUSED = (ssl.SSLError, ConnectionError, Closed)


@pytest.fixture
def context(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates.ca)


def upgrade(daemon: Daemon, context: ssl.SSLContext, **document: Any) -> Layered:
    """A connection after IDENTIFY and the handshake."""
    wire = Wire(daemon.tcp_address)
    answer = wire.negotiate(tls_v1=True, **document)
    assert answer["tls_v1"]
    try:
        return Layered(wire, context)
    except BaseException:
        wire.close()
        raise


@pytest.mark.parametrize("compression", ["none", *CODECS])
def test_c_tcp_43_44_an_ok_in_each_layer_then_bodies_of_all_sizes(
    start_tls: StartTls, context: ssl.SSLContext, compression: str
) -> None:
    asked = {} if compression == "none" else {compression: True}
    stream = upgrade(start_tls(), context, **asked)
    with stream.socket:
        assert stream.frame() == (RESPONSE, b"OK")
        if asked:
            stream.start_compression(CODECS[compression]())
            assert stream.frame() == (RESPONSE, b"OK")
        bodies = [bytes(range(256)) * (size // 256) + b"x" * (size % 256) for size in SIZES]
        for body in bodies:
            assert stream.ask(b"PUB t", body) == (RESPONSE, b"OK")
        assert stream.ask(b"SUB t ch") == (RESPONSE, b"OK")
        stream.send(b"RDY %d\n" % len(bodies))
        seen = []
        while len(seen) < len(bodies):
            kind, data = stream.frame()
            if kind == MESSAGE:
                seen.append(data[26:])
            else:
                assert data == b"_heartbeat_"
        assert sorted(seen) == sorted(bodies)


@pytest.mark.parametrize("policy", ["", "require"])
@pytest.mark.parametrize("command", [b"PUB t\n\0\0\0\1x", b"SUB t ch\n", b"PUB t\n\0\0\0\2x"])
def test_the_end_of_tls_ends_the_connection(
    start_tls: StartTls, certificates: Certificates, context: ssl.SSLContext, policy: str, command: bytes
) -> None:
    context.load_cert_chain(certificates.client)
    stream = upgrade(start_tls(**{"tls_client_auth_policy": policy} if policy else {}), context)
    with stream.socket, socket.socket(fileno=os.dup(stream.socket.fileno())) as bare:
        assert stream.frame() == (RESPONSE, b"OK")
        stream.send(command)
        with suppress(ssl.SSLError):  # an answer is under way, and nsqd sends no such end of its own
            stream.socket.unwrap()
        bare.settimeout(15)
        with suppress(ConnectionError):
            while bare.recv(65536):
                pass


def test_without_a_certificate_tls_is_not_granted(wire: Wire) -> None:
    assert wire.negotiate(tls_v1=True)["tls_v1"] is False
    wire.ok(b"NOP\nPUB tls-not-granted", b"in the clear")


def test_tls_that_is_not_asked_for_is_not_begun(start_tls: StartTls) -> None:
    with Wire(start_tls().tcp_address) as wire:
        assert wire.negotiate()["tls_v1"] is False
        wire.ok(b"PUB t", b"in the clear")


@pytest.mark.parametrize("required", [True, "tcp-https"])
@pytest.mark.parametrize("command", [b"SUB t ch", b"NOP", b"PUB t", b"AUTH", b"NONSENSE"])
def test_c_tcp_46_without_the_tls_that_is_required_all_but_identify_is_refused(
    start_tls: StartTls, command: bytes, required: bool | str
) -> None:
    with Wire(start_tls(tls_required=required).tcp_address) as wire:
        wire.negotiate()
        name = command.split()[0].decode()
        assert wire.ask(command) == (
            ERROR,
            f"E_INVALID cannot {name} in current state (TLS required)".encode(),
        )
        assert wire.is_closed()


def test_c_tcp_46_with_it_they_pass(start_tls: StartTls, context: ssl.SSLContext) -> None:
    stream = upgrade(start_tls(tls_required=True), context)
    with stream.socket:
        assert stream.frame() == (RESPONSE, b"OK")
        assert stream.ask(b"PUB t", b"x") == (RESPONSE, b"OK")


def test_c_nsqd_20_a_policy_makes_tls_required(start_tls: StartTls, certificates: Certificates) -> None:
    daemon = start_tls(tls_client_auth_policy="require-verify", tls_root_ca_file=certificates.ca)
    with Wire(daemon.tcp_address) as wire:
        wire.negotiate()
        assert wire.ask(b"NOP") == (ERROR, b"E_INVALID cannot NOP in current state (TLS required)")


def own_authority(folder: Path) -> str:
    """A client's certificate and key that no authority of nsqd knows."""
    path = str(folder / "stranger.pem")
    trustme.CA().issue_cert("stranger.example").private_key_and_cert_chain_pem.write_to_path(path)
    return path


@pytest.mark.parametrize(
    ("policy", "shown", "let_in"),
    [
        ("require", "stranger", True),
        ("require", "known", True),
        ("require", "none", False),
        ("require-verify", "known", True),
        ("require-verify", "stranger", False),
        ("require-verify", "none", False),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_certificates_of_clients(
    start_tls: StartTls,
    certificates: Certificates,
    context: ssl.SSLContext,
    tmp_path: Path,
    policy: str,
    shown: str,
    let_in: bool,
    version: ssl.TLSVersion,
) -> None:
    daemon = start_tls(tls_client_auth_policy=policy, tls_root_ca_file=certificates.ca)
    context.maximum_version = version
    if shown != "none":
        context.load_cert_chain(certificates.client if shown == "known" else own_authority(tmp_path))
    if let_in:
        stream = upgrade(daemon, context)
        with stream.socket:
            assert stream.frame() == (RESPONSE, b"OK")
            assert stream.ask(b"PUB t", b"x") == (RESPONSE, b"OK")
        return
    with pytest.raises(REFUSED):
        first_frame(daemon, context)


def first_frame(daemon: Daemon, context: ssl.SSLContext) -> tuple[int, bytes]:
    """With TLS 1.3 the client's handshake is over before its certificate was looked at."""
    stream = upgrade(daemon, context)
    with stream.socket:
        return stream.frame()


@pytest.mark.parametrize(
    ("oldest", "spoken", "let_in"),
    [
        ("tls1.0", ssl.TLSVersion.TLSv1, True),
        ("tls1.1", ssl.TLSVersion.TLSv1, False),
        ("tls1.2", ssl.TLSVersion.TLSv1_2, True),
        ("tls1.3", ssl.TLSVersion.TLSv1_2, False),
        ("tls1.3", ssl.TLSVersion.TLSv1_3, True),
    ],
)
def test_tls_min_version(
    start_tls: StartTls, context: ssl.SSLContext, oldest: str, spoken: ssl.TLSVersion, let_in: bool
) -> None:
    daemon = start_tls(tls_min_version=oldest)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = spoken
    if not let_in:
        with pytest.raises(REFUSED):
            upgrade(daemon, context)
        return
    stream = upgrade(daemon, context)
    with stream.socket:
        assert stream.frame() == (RESPONSE, b"OK")
        assert stream.ask(b"PUB t", b"x") == (RESPONSE, b"OK")
        (producer,) = stats(daemon.http_address)["producers"]
    names = {
        ssl.TLSVersion.TLSv1: "TLS1.0",
        ssl.TLSVersion.TLSv1_2: "TLS1.2",
        ssl.TLSVersion.TLSv1_3: "TLS1.3",
    }
    assert producer["tls_version"] == names[spoken]


@pytest.mark.parametrize(
    ("cipher", "shown"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", "Unknown 49196"),
        ("", "Unknown 486"),
    ],
    ids=["named", "unnamed", "tls1.3"],
)
def test_stats_tell_of_tls(start_tls: StartTls, context: ssl.SSLContext, cipher: str, shown: str) -> None:
    daemon = start_tls()
    if cipher:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)
    stream = upgrade(daemon, context)
    with stream.socket:
        assert stream.frame() == (RESPONSE, b"OK")
        assert stream.ask(b"PUB t", b"x") == (RESPONSE, b"OK")
        (producer,) = stats(daemon.http_address)["producers"]
    assert producer["tls"] is True
    assert producer["tls_version"] == ("TLS1.2" if cipher else "TLS1.3")
    assert producer["tls_cipher_suite"].startswith(shown)
    assert producer["tls_negotiated_protocol"] == ""
    assert producer["tls_negotiated_protocol_is_mutual"] is True


def test_a_handshake_that_is_none_is_told_in_the_clear(start_tls: StartTls) -> None:
    with Wire(start_tls().tcp_address) as wire:
        assert wire.negotiate(tls_v1=True)["tls_v1"]
        wire.send(b"SUB t ch\n" * 10)
        wire.socket.shutdown(socket.SHUT_WR)
        assert b"E_IDENTIFY_FAILED IDENTIFY failed " in wire.remainder()


def test_both_compressions_are_refused_before_tls(start_tls: StartTls) -> None:
    """C-TCP-45 holds with TLS, too: the error comes in the clear, in place of the answer."""
    with Wire(start_tls().tcp_address) as wire:
        told = wire.identify(feature_negotiation=True, tls_v1=True, snappy=True, deflate=True)
        assert told == (ERROR, b"E_IDENTIFY_FAILED cannot enable both deflate and snappy compression")
        assert wire.is_closed()


def test_commands_cut_at_every_record(start_tls: StartTls, context: ssl.SSLContext) -> None:
    """A record per byte is as good as all in one."""
    stream = upgrade(start_tls(), context)
    with stream.socket:
        assert stream.frame() == (RESPONSE, b"OK")
        for byte in b"PUB t\n\0\0\0\1xPUB t\n\0\0\0\1y":
            stream.send(bytes([byte]))
        assert [stream.frame(), stream.frame()] == [(RESPONSE, b"OK")] * 2
        stream.send(b"PUB t\n\0\0\0\1z" * 5)
        assert [stream.frame() for _ in range(5)] == [(RESPONSE, b"OK")] * 5
