"""From an open wire to a usable connection: magic, IDENTIFY, the upgrades granted, AUTH.

Plain awaited steps in the order of nsqd-tcp 5.3; nothing is sent ahead, since the server throws
away what it has buffered when it switches a layer.
"""

from __future__ import annotations

import asyncio

from nsqgw.config import ConnectionConfig
from nsqgw.connection.tls import client_context, server_name, upgrade
from nsqgw.connection.wire import Wire
from nsqgw.errors import ConfigError, ConnectionFailed, ProtocolError
from nsqgw.protocol.client import ClientProtocol
from nsqgw.protocol.commands import encode_auth, encode_identify
from nsqgw.protocol.compression import Codec, Deflate, Snappy
from nsqgw.protocol.frames import MAGIC_V2, OK
from nsqgw.protocol.identify import IdentifyRequest, ServerFeatures
from nsqgw.protocol.messages import Confirmations, ErrorResponse, Heartbeat, M, Response


def identify_request(config: ConnectionConfig) -> IdentifyRequest:
    """The settings as IDENTIFY wants them: milliseconds."""
    return IdentifyRequest(
        client_id=config.client_id,
        hostname=config.hostname,
        user_agent=config.user_agent,
        heartbeat_interval_ms=_milliseconds(config.heartbeat_interval),
        output_buffer_size=config.output_buffer_size,
        output_buffer_timeout_ms=_milliseconds(config.output_buffer_timeout),
        msg_timeout_ms=None if config.msg_timeout is None else _milliseconds(config.msg_timeout),
        sample_rate=config.sample_rate,
        tls_v1=bool(config.tls),
        snappy=config.snappy,
        deflate=config.deflate,
        deflate_level=config.deflate_level,
        topology_region=config.topology_region,
        topology_zone=config.topology_zone,
    )


async def shake_hands(
    wire: Wire, address: str, protocol: ClientProtocol[M], config: ConnectionConfig
) -> ServerFeatures:
    """Bring the connection up; what the server granted.

    Raises ServerError for a refusal, ProtocolError for a peer that is no nsqd, WireClosed when it hangs
    up, ConnectionFailed when TLS is asked for and cannot be had. The caller sets the deadline.
    """
    wire.write(MAGIC_V2 + encode_identify(identify_request(config).to_json()))
    features = ServerFeatures.from_response(await _response(wire, protocol))
    if config.tls:
        if not features.tls_v1:
            raise ConnectionFailed(f"{address}: this nsqd does not offer TLS, and tls is set")
        # Files are read anew, since certificates are renewed; the system's take too long for the loop.
        context = await asyncio.to_thread(client_context, config.tls)
        name = server_name(address, config.tls)
        await upgrade(wire, address, context, name, protocol.start_encryption())
        await _expect_ok(wire, protocol)
    if (codec := _granted_codec(features)) is not None:
        protocol.start_compression(codec)
        await _expect_ok(wire, protocol)
    if features.auth_required:
        await _authorize(wire, protocol, config.auth_secret)
    return features


def _milliseconds(seconds: float) -> int:
    return -1 if seconds == -1 else round(seconds * 1000)


def _granted_codec(features: ServerFeatures) -> Codec | None:
    if features.snappy:
        return Snappy()
    return Deflate(features.deflate_level) if features.deflate else None


async def _authorize(wire: Wire, protocol: ClientProtocol[M], secret: str | bytes | None) -> None:
    if secret is None:
        raise ConfigError("nsqd asks for authorization: set auth_secret")
    data = secret.encode() if isinstance(secret, str) else secret
    wire.write(protocol.encode(encode_auth(data)))
    await _response(wire, protocol)


async def _expect_ok(wire: Wire, protocol: ClientProtocol[M]) -> None:
    data = await _response(wire, protocol)
    if data != OK:
        raise ProtocolError(f"nsqd confirmed the upgrade with {data[:40]!r} in place of OK")


async def _response(wire: Wire, protocol: ClientProtocol[M]) -> bytes:
    data = b""  # at first what earlier reads left over
    while True:
        events = protocol.receive_data(data)
        for event in events:
            if isinstance(event, ErrorResponse):
                raise event.error
            if isinstance(event, Confirmations):
                return OK
            if isinstance(event, Response):
                return event.data
            if not isinstance(event, Heartbeat):
                raise ProtocolError("nsqd sent a message before the subscription")
        # Behind a heartbeat the answer may be here already.
        data = b"" if events else await wire.read()
