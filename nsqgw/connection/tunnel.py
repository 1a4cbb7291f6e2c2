"""The client's end of TLS, without a socket: from what the wire brings to plain bytes, and back.

Not asyncio's own `start_tls`: over that nobody learns when all is written, a pause in the turn of the
handshake is never undone, and both differ from one Python to the next.
"""

from __future__ import annotations

import ssl

_RECORD_SIZE = 16 * 1024
"""What one read of OpenSSL's brings at most (RFC 8446, 5.1)."""


class TlsTunnel:
    """One TLS connection to a server whose certificate is for `server_name`; ValueError if that is no name.

    `ended` becomes true when the server has said that nothing follows.
    """

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self.ended = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)

    def shake_hands(self, data: bytes) -> bool:
        """Go on with the handshake by what came; whether it is over. SSLError says why it has failed."""
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def decrypt(self, data: bytes) -> bytes:
        """The plain bytes that what came completes; SSLError when it breaks the rules, or is an alert."""
        self._incoming.write(data)
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(_RECORD_SIZE):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        else:
            self.ended = True
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def encrypt(self, data: bytes) -> bytes:
        """The bytes to send for `data`."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        return self._outgoing.read()

    def take_own(self) -> bytes:
        """What TLS itself has to say: parts of the handshake, alerts, new keys."""
        return self._outgoing.read()
