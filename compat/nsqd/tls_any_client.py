"""Tunnels that demand a certificate of the client and take any: `--tls-client-auth-policy=require`.

Python's `ssl` verifies whatever it asks for, so this one policy stands on pyOpenSSL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from compat.nsqd.tls import OLD_CIPHERS, OLD_VERSIONS, TlsFacts, go_cipher_suite, go_version
from nsqgw.errors import IdentifyFailed, ProtocolError

if TYPE_CHECKING:
    from compat.nsqd.options import NsqdOptions

_VERSIONS = {
    "tls1.0": SSL.TLS1_VERSION,
    "tls1.1": SSL.TLS1_1_VERSION,
    "tls1.2": SSL.TLS1_2_VERSION,
    "tls1.3": SSL.TLS1_3_VERSION,
}
_PIECE_SIZE = 256 * 1024
_RECORD_SIZE = 16 * 1024


class AnyClientTunnel:
    """A client's TLS on pyOpenSSL."""

    def __init__(self, connection: SSL.Connection) -> None:
        self.established = False
        self.ended = False
        self.facts = TlsFacts()
        self._broken = False
        self._tls = connection
        connection.set_accept_state()

    def receive(self, data: bytes) -> None:
        if data:
            self._tls.bio_write(data)
        if self.established:
            return
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            self._broken = True
            raise IdentifyFailed(f"IDENTIFY failed {_reason(error)}") from error
        self.established = True
        self.facts = self._facts()

    def plain(self) -> Iterator[bytes]:
        while self.established:
            try:
                piece = self._tls.recv(_PIECE_SIZE)
            except SSL.WantReadError:
                return
            except SSL.ZeroReturnError:
                self.ended = True
                return
            except SSL.Error as error:
                self._broken = True
                raise ProtocolError(f"corrupt TLS stream: {_reason(error)}") from error
            yield piece

    def encrypt(self, data: bytes) -> bytes:
        rest = memoryview(data)
        while rest and not self._broken:
            rest = rest[self._tls.send(rest[:_RECORD_SIZE]) :]
        encrypted = []
        while True:
            try:
                encrypted.append(self._tls.bio_read(_PIECE_SIZE))
            except SSL.WantReadError:
                return b"".join(encrypted)

    def _facts(self) -> TlsFacts:
        certificate = self._tls.get_peer_certificate(as_cryptography=True)
        assert certificate is not None, "the handshake fails without one"
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = str(names[0].value) if names else ""
        suite = go_cipher_suite(self._tls.get_cipher_name() or "")
        return TlsFacts(go_version(self._tls.get_protocol_version_name()), suite, name)


def any_client_tunnels(options: NsqdOptions) -> Callable[[], AnyClientTunnel]:
    """What makes the tunnels; certificate and key are known to be good."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(_VERSIONS[options.tls_min_version])
    if options.tls_min_version in OLD_VERSIONS:
        context.set_cipher_list(OLD_CIPHERS.encode())
    context.use_certificate_chain_file(options.tls_cert)
    context.use_privatekey_file(options.tls_key)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.set_session_id(b"nsqd")  # OpenSSL resumes no session without one when it asks for certificates
    return lambda: AnyClientTunnel(SSL.Connection(context, None))


def _reason(error: SSL.Error) -> str:
    queue = error.args[0] if error.args else None
    return str(queue[0][-1]) if queue else "unexpected end"
