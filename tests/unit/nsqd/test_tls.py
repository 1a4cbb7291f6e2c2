"""A client's TLS without a socket: bytes cut anywhere, what was read ahead, what breaks."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

import pytest

from compat.nsqd.options import NsqdOptions
from compat.nsqd.tls import server_context, tunnel_maker
from harness.certificates import Certificates, make_certificates
from nsqgw.errors import ConfigError, IdentifyFailed
from nsqgw.protocol.commands import Nop, Pubs, encode_identify, encode_pub
from nsqgw.protocol.frames import encode_response
from nsqgw.protocol.limits import ServerLimits
from nsqgw.protocol.negotiation import Negotiation
from nsqgw.protocol.server import OK_FRAME, ServerProtocol

IDENTIFY = b"  V2" + encode_identify(b'{"feature_negotiation":true,"tls_v1":true}')


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def protocol(certificates: Certificates) -> ServerProtocol:
    options = NsqdOptions(tls_cert=certificates.server, tls_key=certificates.server_key)
    return ServerProtocol(ServerLimits(tls_required=True), tunnel_maker(options, server_context(options)))


class FarSide:
    """A TLS client on memory buffers."""

    def __init__(self, certificates: Certificates) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=certificates.ca)
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")

    def shake(self, data: bytes = b"") -> bytes:
        self.incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_the_bytes_may_be_cut_anywhere(
    protocol: ServerProtocol, certificates: Certificates, step: int
) -> None:
    (negotiation,) = protocol.receive_data(IDENTIFY)
    assert isinstance(negotiation, Negotiation)
    protocol.accept(negotiation)
    assert protocol.data_to_send() == encode_response(negotiation.response)
    far = FarSide(certificates)
    protocol.send_heartbeat()  # waits for the handshake's end
    data = far.shake()
    while protocol.upgrading:
        answer = b""
        for start in range(0, len(data), step):
            assert protocol.receive_data(data[start : start + step]) == []
            answer += protocol.data_to_send()
        data = far.shake(answer)
    far.incoming.write(data)
    assert far.tls.read(100) == b"\0\0\0\x0f\0\0\0\0_heartbeat_" + OK_FRAME
    far.tls.write(encode_pub("t", b"x") + b"NOP\n")
    encrypted, requests = far.outgoing.read(), []
    for start in range(0, len(encrypted), step):
        requests += protocol.receive_data(encrypted[start : start + step])
    assert requests == [Pubs("t", [b"x"]), Nop()]
    assert protocol.error is None


def test_a_hello_behind_identify_is_not_lost(protocol: ServerProtocol, certificates: Certificates) -> None:
    far = FarSide(certificates)
    (negotiation,) = protocol.receive_data(IDENTIFY + far.shake())
    assert isinstance(negotiation, Negotiation)
    protocol.accept(negotiation)
    clear = encode_response(negotiation.response)
    data = protocol.data_to_send()
    assert data.startswith(clear)
    protocol.receive_data(far.shake(data[len(clear) :]))
    assert not protocol.upgrading


def test_a_handshake_that_takes_too_long(protocol: ServerProtocol) -> None:
    (negotiation,) = protocol.receive_data(IDENTIFY)
    assert isinstance(negotiation, Negotiation)
    protocol.accept(negotiation)
    protocol.data_to_send()
    protocol.upgrade_timed_out()
    assert isinstance(protocol.error, IdentifyFailed)
    protocol.send_error(protocol.error)
    assert b"E_IDENTIFY_FAILED IDENTIFY failed TLS handshake timed out" in protocol.data_to_send()


@pytest.mark.parametrize("flag", ["tls_cert", "tls_key", "tls_root_ca_file"])
def test_files_that_cannot_be_used_are_told(certificates: Certificates, tmp_path: Path, flag: str) -> None:
    files = {"tls_cert": certificates.server, "tls_key": certificates.server_key, "tls_root_ca_file": ""}
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    for path in (str(nonsense), str(tmp_path / "missing.pem")):
        with pytest.raises(ConfigError, match=path):
            server_context(NsqdOptions(**(files | {flag: path})))
