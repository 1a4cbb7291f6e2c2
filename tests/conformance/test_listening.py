"""Where nsqd listens: HTTPS with its refusals of plain HTTP (nsqd-http 1.2, 9), and unix sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.certificates import Certificates
from harness.daemons import Daemon
from harness.http import call, get, stats

StartTls = Callable[..., Daemon]


def over_https(
    daemon: Daemon, certificates: Certificates, method: str, path: str, *, own: bool = True
) -> tuple[int, bytes]:
    """Status and body of the answer to a client, by default one with a certificate."""
    context = ssl.create_default_context(cafile=certificates.ca)
    if own:
        context.load_cert_chain(certificates.client)
    with contextlib.closing(
        http.client.HTTPSConnection(daemon.https_address, timeout=15, context=context)
    ) as connection:
        connection.request(method, path, b"x" if method == "POST" else None)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("path", ["/ping", "/stats", "/pub?topic=t", "/no/such/path"])
def test_c_http_24_tls_required_closes_plain_http(
    start_tls: StartTls, certificates: Certificates, path: str
) -> None:
    daemon = start_tls(tls_required=True)
    port = daemon.https_address.rpartition(":")[2]
    answer = call(
        daemon.http_address, "POST" if "pub" in path else "GET", path, b"x" if "pub" in path else None
    )
    assert answer.status == 403
    assert answer.body == b'{"message": "TLS_REQUIRED", "https_port": %s}' % port.encode()
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-nsq-content-type"] == "nsq; version=1.0"
    assert over_https(daemon, certificates, "GET", "/ping") == (200, b"OK")


def test_c_http_24_tcp_https_leaves_it_open(start_tls: StartTls, certificates: Certificates) -> None:
    daemon = start_tls(tls_required="tcp-https")
    assert get(daemon.http_address, "/ping").body == b"OK"
    assert over_https(daemon, certificates, "POST", "/pub?topic=t") == (200, b"OK")
    assert get(daemon.http_address, "/config/tls_required").body == b"1"


def test_https_asks_for_certificates_as_tcp_does(start_tls: StartTls, certificates: Certificates) -> None:
    daemon = start_tls(tls_client_auth_policy="require-verify", tls_root_ca_file=certificates.ca)
    assert over_https(daemon, certificates, "GET", "/ping") == (200, b"OK")
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        over_https(daemon, certificates, "GET", "/ping", own=False)


def ask_unix(path: str, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(15)
        connection.connect(path)
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def test_unix_sockets(start_nsqd: Callable[..., Daemon], tmp_path: Path) -> None:
    tcp, web = str(tmp_path / "tcp.sock"), str(tmp_path / "http.sock")
    daemon = start_nsqd(tcp_address=tcp, http_address=web)
    assert (daemon.tcp_address, daemon.http_address) == (tcp, web)
    answer = ask_unix(web, b"GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    info = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (info["tcp_port"], info["http_port"]) == (-1, -1)
    assert ask_unix(tcp, b"  V1") == b"\0\0\0\x12\0\0\0\1E_BAD_PROTOCOL"


def test_stats_of_a_client_behind_a_unix_socket(start_nsqd: Callable[..., Daemon], tmp_path: Path) -> None:
    tcp = str(tmp_path / "tcp.sock")
    daemon = start_nsqd(tcp_address=tcp)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(15)
        connection.connect(tcp)
        connection.sendall(b"  V2PUB t\n\0\0\0\1x")
        assert connection.recv(100) == b"\0\0\0\6\0\0\0\0OK"
        (producer,) = stats(daemon.http_address)["producers"]
    assert {key: producer[key] for key in ("client_id", "hostname", "remote_address")} == {
        "client_id": "",
        "hostname": "",
        "remote_address": "@",
    }
