"""One client's standing with the auth server: what it may do, until when, and when to ask again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from compat.http_answers import encode_json
from compat.nsqd.auth import AuthServerError, Grant, Question
from nsqgw.errors import AuthFailed, AuthFirst, Invalid, Unauthorized
from nsqgw.protocol.command_lines import quoted
from nsqgw.protocol.commands import Auth, Dpub, Mpub, Pubs, Sub
from nsqgw.protocol.server import Request

if TYPE_CHECKING:
    from compat.nsqd.auth_servers import AuthServers

logger = logging.getLogger(__name__)

_NAMES: dict[type, str] = {Sub: "SUB", Pubs: "PUB", Dpub: "DPUB", Mpub: "MPUB"}


class AuthGate:
    """What commands of one client have to pass.

    `question` makes the question about a secret, `now` is the broker's clock.
    """

    def __init__(
        self,
        servers: AuthServers,
        question: Callable[[bytes], Question],
        now: Callable[[], float],
    ) -> None:
        self.grant: Grant | None = None
        self._servers = servers
        self._question = question
        self._now = now
        self._secret = b""

    def check(self, request: Request) -> Awaitable[None] | None:
        """Raise the ServerError that refuses a command, or return what has to be awaited before it.

        The time a grant is good for is looked at only here: a subscription that runs is never revoked.
        """
        if isinstance(request, Auth):
            if self.grant is not None:
                raise Invalid("AUTH already set")
            self._secret = request.secret
            return self._authenticate()
        if isinstance(request, (Sub, Pubs, Dpub, Mpub)):
            if self.grant is None:
                raise AuthFirst(f"AUTH required before {_NAMES[type(request)]}")
            if self.grant.expires < self._now():
                return self._ask_again(request)
            self._require(self.grant, request)
        return None

    def answer(self) -> bytes:
        """The answer to AUTH."""
        assert self.grant is not None, "AUTH is answered when it passed"
        document = {
            "identity": self.grant.identity,
            "identity_url": self.grant.identity_url,
            "permission_count": len(self.grant.authorizations),
        }
        return encode_json(document)

    async def _authenticate(self) -> None:
        grant = await self._ask()
        if not grant.authorizations:
            raise Unauthorized("AUTH no authorizations found")
        self.grant = grant

    async def _ask_again(self, request: Sub | Pubs | Dpub | Mpub) -> None:
        self.grant = await self._ask()
        self._require(self.grant, request)

    async def _ask(self) -> Grant:
        question = self._question(self._secret)
        try:
            return await self._servers.ask(question)
        except AuthServerError as error:
            logger.warning("PROTOCOL(V2): [%s] AUTH failed %s", question.remote_ip, error)
            raise AuthFailed("AUTH failed") from error

    @staticmethod
    def _require(grant: Grant, request: Sub | Pubs | Dpub | Mpub) -> None:
        channel = request.channel if isinstance(request, Sub) else ""
        if not grant.allows(request.topic, channel):
            where = f"{quoted(request.topic.encode())} {quoted(channel.encode())}"
            raise Unauthorized(f"AUTH failed for {_NAMES[type(request)]} on {where}")
