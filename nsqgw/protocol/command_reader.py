"""Bytes from a client become commands, however they are cut (nsqd-tcp section 3).

`read` goes over everything that has arrived and yields whole commands in one list. Runs of FINs and PUBs
have a short way; the rest is parsed in command_lines. What is incomplete is kept and looked at again when
enough has come, so a body in one-byte pieces costs linear time, and never more than the announced, already
checked size is held.
"""

from __future__ import annotations

import re
import struct

from nsqgw.errors import FrameTooBig, NSQError
from nsqgw.protocol.command_bodies import BatchBody, SizedBody
from nsqgw.protocol.command_lines import Body, parse_line, valid_name
from nsqgw.protocol.commands import Command, Fins, Identify, Pubs
from nsqgw.protocol.limits import ServerLimits
from nsqgw.protocol.names import MAX_NAME_LENGTH
from nsqgw.protocol.session import ClientState, Session

MAX_LINE = 16 * 1024
"""nsqd's read buffer: a line, newline included, must fit (nsqd-tcp section 3)."""

_INT32 = struct.Struct(">i")
_FINS = re.compile(rb"(?:FIN [!-~]{16}\n)+")
_FIN_LENGTH = 21
_FIN_ID_AT = 4
_LONGEST_PUB_LINE = len("PUB ") + MAX_NAME_LENGTH + 1


class CommandReader:
    """The incremental reader of one connection's commands.

    `error` is set by what nsqd would end the connection for: a ServerError to be sent, or another
    NSQError after which nsqd closes without a word. From then on everything is ignored. Commands
    before the mistake are yielded first. After IDENTIFY reading stops, because the bytes behind it
    may be compressed: the rest is fetched with `take_rest`.
    """

    def __init__(self, session: Session, limits: ServerLimits) -> None:
        self.error: NSQError | None = None
        self._session = session
        self._limits = limits
        self._body: Body | None = None
        self._pending = bytearray()

    def read(self, data: bytes) -> list[Command]:
        """The commands that `data` completes."""
        commands: list[Command] = []
        if self.error is not None:
            return commands
        if self._pending:
            self._pending += data
            if not self._enough_pending(data):
                return commands
            data = self.take_rest()
        try:
            position = self._read_all(data, commands)
        except NSQError as error:
            self.error = error
            return commands
        if position < len(data):
            self._pending += memoryview(data)[position:]
        return commands

    def end(self) -> None:
        """The client sends no more: inside a body that is an error (nsqd-tcp section 3)."""
        if self.error is None and self._body is not None:
            self.error = self._body.cut_short()

    def take_rest(self) -> bytes:
        """The bytes not used yet; they are the caller's now."""
        rest = bytes(self._pending)
        self._pending.clear()
        return rest

    def _enough_pending(self, latest: bytes) -> bool:
        """Whether what is pending, `latest` being the newest part of it, can lead on."""
        if self._body is not None:
            return len(self._pending) >= self._body.wanted
        return b"\n" in latest or len(self._pending) >= MAX_LINE

    def _read_all(self, data: bytes, commands: list[Command]) -> int:
        """Read whole commands into `commands`; the position of the first byte not used."""
        position, end = 0, len(data)
        while position < end:
            if self._body is not None:
                command, position = self._body.take(data, position)
                if command is None:
                    break
                self._body = None
                commands.append(command)
                if type(command) is Identify:
                    break
            position = self._read_fins(data, position, commands)
            position = self._read_pubs(data, position, commands)
            newline = data.find(b"\n", position)
            if (end if newline < 0 else newline) - position >= MAX_LINE:
                raise FrameTooBig(f"a command line of more than {MAX_LINE} bytes")
            if newline < 0:
                break
            self._read_line(data[position:newline], commands)
            position = newline + 1
        return position

    def _read_line(self, line: bytes, commands: list[Command]) -> None:
        parsed = parse_line(line[:-1] if line.endswith(b"\r") else line, self._session, self._limits)
        if isinstance(parsed, SizedBody | BatchBody):
            self._body = parsed
        elif parsed is not None:
            commands.append(parsed)

    def _read_fins(self, data: bytes, position: int, commands: list[Command]) -> int:
        """Take the FINs that lie at `position` in their plainest form, all at once."""
        if self._session.state is ClientState.INIT or self._session.tls_missing:
            return position
        run = _FINS.match(data, position)
        if run is None:
            return position
        stop = run.end()
        commands.append(Fins([data[at : at + 16] for at in range(position + _FIN_ID_AT, stop, _FIN_LENGTH)]))
        return stop

    def _read_pubs(self, data: bytes, position: int, commands: list[Command]) -> int:
        """Take the whole PUBs that lie at `position`, as far as nothing is wrong with them."""
        if self._session.tls_missing:
            return position
        while data.startswith(b"PUB ", position):
            line = data[position : data.find(b"\n", position, position + _LONGEST_PUB_LINE) + 1]
            topic = valid_name(line[4:-1])
            if topic is None:
                break
            bodies, position = self._read_bodies(data, position, line)
            if not bodies:
                break
            commands.append(Pubs(topic, bodies))
        return position

    def _read_bodies(self, data: bytes, position: int, line: bytes) -> tuple[list[bytes], int]:
        """The bodies of all whole PUBs in a row that begin with `line`, and the position after them."""
        bodies: list[bytes] = []
        end, longest, head = len(data), self._limits.max_msg_size, len(line) + _INT32.size
        unpack_from, append = _INT32.unpack_from, bodies.append
        while data.startswith(line, position):
            body = position + head
            if body > end:
                break
            (size,) = unpack_from(data, body - _INT32.size)
            if not 0 < size <= longest or body + size > end:
                break
            position = body + size
            append(data[body:position])
        return bodies, position
