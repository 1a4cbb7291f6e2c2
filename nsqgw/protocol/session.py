"""What a connection may do now: its state, and which command leads where (nsqd-tcp 3.1, 3.2).

The command reader asks `Session.admit` before it looks at a command's parameters, as nsqd does. Every
refused command ends the connection, so the state after a command is known as soon as it is read.
"""

from __future__ import annotations

import enum

from nsqgw.errors import Invalid


class ClientState(enum.IntEnum):
    """The states of a connection, numbered as /stats shows them."""

    INIT = 0
    SUBSCRIBED = 3
    CLOSING = 4


_ANY_TIME = (b"PUB", b"MPUB", b"DPUB", b"NOP")
_ANSWERS = (b"FIN", b"REQ", b"TOUCH", b"RDY")

TRANSITIONS: dict[ClientState, dict[bytes, ClientState]] = {
    ClientState.INIT: {
        **dict.fromkeys((b"IDENTIFY", b"AUTH", *_ANY_TIME), ClientState.INIT),
        b"SUB": ClientState.SUBSCRIBED,
    },
    ClientState.SUBSCRIBED: {
        **dict.fromkeys((*_ANSWERS, *_ANY_TIME), ClientState.SUBSCRIBED),
        b"CLS": ClientState.CLOSING,
    },
    ClientState.CLOSING: dict.fromkeys((*_ANSWERS, *_ANY_TIME), ClientState.CLOSING),
}
"""State -> command -> next state; a command that is missing is refused in that state."""

COMMANDS = frozenset(name for commands in TRANSITIONS.values() for name in commands)


class Session:
    """The standing of one connection.

    `heartbeats` is whether the client kept them on, `tls_missing` whether the server demands TLS that
    this connection does not have yet.
    """

    __slots__ = ("heartbeats", "state", "tls_missing")

    def __init__(self) -> None:
        self.state = ClientState.INIT
        self.heartbeats = True
        self.tls_missing = False

    def admit(self, command: bytes) -> ClientState:
        """The state to be in after `command`; Invalid, in nsqd's order of checks, when it is refused."""
        name = command.decode("utf-8", "surrogateescape")
        if self.tls_missing and command != b"IDENTIFY":
            raise Invalid(f"cannot {name} in current state (TLS required)")
        if command not in COMMANDS:
            raise Invalid(f"invalid command {name}")
        following = TRANSITIONS[self.state].get(command)
        if following is None:
            raise Invalid(f"cannot {name} in current state")
        if command == b"SUB" and not self.heartbeats:
            raise Invalid("cannot SUB with heartbeats disabled")
        return following
