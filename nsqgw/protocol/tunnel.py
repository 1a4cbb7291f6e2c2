"""What encrypts a connection, as the protocol sees it: a layer of bytes below compression and frames.

The protocol knows no `ssl`; whoever owns the socket brings the tunnel along.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Tunnel(Protocol):
    """The server's end of one TLS connection.

    `established` becomes true when the handshake is over, `ended` when the client said that it sends no more,
    and `plain` gave all that came before. `encrypt` takes no data before, though it may be
    called with none for what the handshake has to say.
    """

    established: bool
    ended: bool

    def receive(self, data: bytes) -> None:
        """Take what came; it drives the handshake. IdentifyFailed when that fails."""

    def plain(self) -> Iterator[bytes]:
        """The plain bytes of what came, in pieces; ProtocolError when it broke the rules of TLS."""

    def encrypt(self, data: bytes) -> bytes:
        """The bytes to send for `data`, together with what the tunnel itself has to say."""
