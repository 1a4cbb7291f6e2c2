"""TLS below a connection: from settings to a context, from a plain connection to an encrypted one."""

from __future__ import annotations

import ssl

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

from nsqgw.config import TlsConfig
from nsqgw.connection.address import TcpAddress, parse_address
from nsqgw.connection.tunnel import TlsTunnel
from nsqgw.connection.wire import Wire, WireClosed
from nsqgw.errors import ConfigError, ConnectionFailed


def client_context(tls: TlsConfig | ssl.SSLContext | bool | None) -> ssl.SSLContext:
    """The context for these settings; ConfigError names a file that cannot be used."""
    if isinstance(tls, ssl.SSLContext):
        return tls
    settings = tls if isinstance(tls, TlsConfig) else TlsConfig()
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file = {settings.ca_file!r} cannot be used: {error}") from error
    if settings.cert_file is not None:
        try:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        except (OSError, ssl.SSLError) as error:
            files = f"cert_file = {settings.cert_file!r}, key_file = {settings.key_file!r}"
            raise ConfigError(f"{files} cannot be used: {error}") from error
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def upgrade(
    wire: Wire, address: str, context: ssl.SSLContext, server_name: str, received: bytes
) -> None:
    """Encrypt `wire` to `address`; ConnectionFailed says why the TLS handshake failed.

    `server_name` is what the certificate must be for; ConfigError if it is no name. `received` is what came
    behind the last plain answer: it is held to be encrypted, or anybody on the way could put words into
    nsqd's mouth.
    """
    try:
        tunnel = TlsTunnel(context, server_name)
    except ValueError as error:
        raise ConfigError(f"server_name = {server_name!r} cannot be used: {error}") from error
    try:
        await wire.encrypt(tunnel, received)
    except WireClosed as error:
        raise ConnectionFailed(
            f"{address}: the server closed the connection during the TLS handshake"
        ) from error
    except OSError as error:
        raise ConnectionFailed(f"{address}: TLS handshake failed: {_reason(error)}") from error


async def encrypted(stream: IOStream, address: str, context: ssl.SSLContext, server_name: str) -> IOStream:
    """Encrypt `stream` to `address`; the new stream, which has taken over the socket.

    `server_name` is what the certificate must be for. ConnectionFailed says why the handshake failed.
    tornado's `start_tls` would leave the new stream behind, open and unreachable, when the wait for it is
    cancelled at the deadline.
    """
    plain = stream.socket.dup()
    stream.close()
    try:
        wrapped = context.wrap_socket(plain, server_hostname=server_name, do_handshake_on_connect=False)
    except BaseException:
        plain.close()
        raise
    encrypted = SSLIOStream(wrapped)
    try:
        await encrypted.wait_for_handshake()
    except StreamClosedError as error:
        raise ConnectionFailed(
            f"{address}: the server closed the connection during the TLS handshake"
        ) from error
    except OSError as error:
        raise ConnectionFailed(f"{address}: TLS handshake failed: {_reason(error)}") from error
    except BaseException:
        encrypted.close()
        raise
    return encrypted


def server_name(address: str, tls: TlsConfig | ssl.SSLContext | bool | None) -> str:
    """The name the certificate must carry: what the settings say, else the host of the address."""
    if isinstance(tls, TlsConfig) and tls.server_name is not None:
        return tls.server_name
    where = parse_address(address)
    return where.host if isinstance(where, TcpAddress) else "localhost"


def _reason(error: BaseException) -> str:
    return getattr(error, "verify_message", None) or str(error)
