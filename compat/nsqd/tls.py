"""TLS of clients as nsqd's flags describe it (nsqd-tcp 5.4): who may connect, and each connection's tunnel.

Certificates that are asked for and not verified, `--tls-client-auth-policy=require`, are beyond Python's
`ssl`: see tls_any_client.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from nsqgw.errors import ConfigError, IdentifyFailed, ProtocolError
from nsqgw.protocol.tunnel import Tunnel

if TYPE_CHECKING:
    from compat.nsqd.options import NsqdOptions

HANDSHAKE_TIMEOUT = 5.0
"""Time for the handshake, in seconds; fixed in the original too."""

TLS_VERSIONS = {
    "tls1.0": ssl.TLSVersion.TLSv1,
    "tls1.1": ssl.TLSVersion.TLSv1_1,
    "tls1.2": ssl.TLSVersion.TLSv1_2,
    "tls1.3": ssl.TLSVersion.TLSv1_3,
}
OLD_VERSIONS = ("tls1.0", "tls1.1")
OLD_CIPHERS = "DEFAULT:!aNULL:!eNULL:@SECLEVEL=0"
"""What clients that know nothing newer than TLS 1.1 need; OpenSSL 3 refuses these versions otherwise."""

_PIECE_SIZE = 256 * 1024
_GO_NAMES = {
    0x0005: "TLS_RSA_WITH_RC4_128_SHA",
    0x000A: "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    0x002F: "TLS_RSA_WITH_AES_128_CBC_SHA",
    0x0035: "TLS_RSA_WITH_AES_256_CBC_SHA",
    0xC007: "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    0xC009: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    0xC00A: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    0xC011: "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    0xC012: "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    0xC013: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    0xC014: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    0xC02B: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    0xC02F: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
}
"""The cipher suites nsqd has names for."""


@dataclass(frozen=True)
class TlsFacts:
    """What /stats and the auth server are told of a tunnel; empty before its handshake is over."""

    version: str = ""
    cipher_suite: str = ""
    common_name: str = ""


class ClientTunnel(Tunnel, Protocol):
    """A tunnel that tells about itself."""

    facts: TlsFacts


class TlsTunnel:
    """A client's TLS on Python's `ssl`."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.established = False
        self.ended = False
        self.facts = TlsFacts()
        self._broken = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def receive(self, data: bytes) -> None:
        self._incoming.write(data)
        if self.established:
            return
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            self._broken = True
            raise IdentifyFailed(f"IDENTIFY failed {error.reason or error}") from error
        self.established = True
        self.facts = self._facts()

    def plain(self) -> Iterator[bytes]:
        while self.established:
            try:
                piece = self._tls.read(_PIECE_SIZE)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:
                piece = b""
            except ssl.SSLError as error:
                self._broken = True
                raise ProtocolError(f"corrupt TLS stream: {error.reason or error}") from error
            if not piece:
                self.ended = True
                return
            yield piece

    def encrypt(self, data: bytes) -> bytes:
        rest = memoryview(data)
        while rest and not self._broken:
            rest = rest[self._tls.write(rest) :]
        return self._outgoing.read()

    def _facts(self) -> TlsFacts:
        cipher = self._tls.cipher()
        certificate: dict[str, Any] = self._tls.getpeercert() or {}
        names = [
            value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"
        ]
        return TlsFacts(
            go_version(self._tls.version() or ""),
            go_cipher_suite(cipher[0] if cipher else ""),
            names[0] if names else "",
        )


def go_version(version: str) -> str:
    """OpenSSL's name of a TLS version as /stats has it: `TLS1.2`."""
    number = version.removeprefix("TLSv")
    return f"TLS{number if '.' in number else number + '.0'}"


def go_cipher_suite(name: str) -> str:
    """OpenSSL's name of a cipher suite as /stats has it: nsqd has names for some, numbers for others."""
    number = _cipher_numbers().get(name, 0)
    return _GO_NAMES.get(number, f"Unknown {number}")


@lru_cache(maxsize=1)
def _cipher_numbers() -> dict[str, int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(OLD_CIPHERS)
    return {each["name"]: each["id"] & 0xFFFF for each in context.get_ciphers()}


def server_context(options: NsqdOptions) -> ssl.SSLContext | None:
    """The context of the TLS ports, None without a certificate. ConfigError for files that cannot be used.

    With the policy `require` it asks for no certificate: an unverified one proves nothing.
    """
    if not options.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the original's default is TLS 1.0
        context.minimum_version = TLS_VERSIONS[options.tls_min_version]
    if options.tls_min_version in OLD_VERSIONS:
        context.set_ciphers(OLD_CIPHERS)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"--tls-cert={options.tls_cert} --tls-key={options.tls_key}: {_cause(error)};"
            " name PEM files of a certificate and its key"
        ) from error
    if options.tls_root_ca_file:
        try:
            context.load_verify_locations(options.tls_root_ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"--tls-root-ca-file={options.tls_root_ca_file}: {_cause(error)};"
                " name a PEM file of the authorities' certificates"
            ) from error
    if options.tls_client_auth_policy == "require-verify":
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def tunnel_maker(options: NsqdOptions, context: ssl.SSLContext | None) -> Callable[[], ClientTunnel] | None:
    """What makes the tunnels of TCP clients; None when there is no TLS."""
    if context is None:
        return None
    if options.tls_client_auth_policy == "require":
        return _any_client_tunnels(options)
    return lambda: TlsTunnel(context)


def _any_client_tunnels(options: NsqdOptions) -> Callable[[], ClientTunnel]:
    try:
        from compat.nsqd.tls_any_client import any_client_tunnels
    except ImportError as error:
        raise ConfigError(
            "--tls-client-auth-policy=require: needs pyOpenSSL, pip install 'nsqgw[tls]';"
            " require-verify does without"
        ) from error
    return any_client_tunnels(options)


def _cause(error: OSError) -> str:
    return str((error.reason if isinstance(error, ssl.SSLError) else None) or error.strerror or error)
