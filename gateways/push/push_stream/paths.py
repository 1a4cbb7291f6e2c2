"""What push-stream URLs name: channels with backtracks, and what the module says when it refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from http import HTTPStatus

from gateways.push.http import Response

EXPLAIN = "X-Nginx-PushStream-Explain"

_BACKTRACK = re.compile(r"(?P<name>.+)\.b(?P<count>[0-9]{1,9})", re.DOTALL)

_NO_CACHE = {
    "Expires": "Thu, 01 Jan 1970 00:00:01 GMT",
    "Cache-Control": "no-cache, no-store, must-revalidate",
}


class Refused(Exception):
    """A request the module would refuse; its words go into a header, and the body is empty."""

    def __init__(self, status: HTTPStatus, explanation: str = "", **headers: str) -> None:
        super().__init__(explanation)
        self.status = status
        self.headers = headers

    def response(self, cors: dict[str, str]) -> Response:
        """The answer."""
        explain = {EXPLAIN: str(self)} if str(self) else {}
        return replace(answer(self.status, headers={**explain, **self.headers, **cors}), reason=str(self))


NO_CHANNEL = (HTTPStatus.BAD_REQUEST, "No channel id provided.")
NOT_AUTHORIZED = (HTTPStatus.FORBIDDEN, "Channel id not authorized for this method.")
NOT_CREATED = (HTTPStatus.FORBIDDEN, "Subscriber could not create channels.")
TOO_MANY = (HTTPStatus.FORBIDDEN, "Number of channels were exceeded.")
NO_HANDSHAKE = (
    HTTPStatus.BAD_REQUEST,
    "Don't have at least one of the mandatory headers: Connection, Upgrade, Sec-WebSocket-Key and"
    " Sec-WebSocket-Version",
)
EMPTY = (HTTPStatus.BAD_REQUEST, "Empty post requests are not allowed.")


@dataclass(frozen=True)
class Wish:
    """A channel, and how many of its stored messages come first."""

    channel: str
    backtrack: int = 0


def parse_wishes(path: str, most: int) -> tuple[Wish, ...]:
    """What `a.b4/b/c.b2` asks for. Raises Refused for no channel, a reserved one, or more than `most`."""
    wishes: dict[str, Wish] = {}
    for part in path.split("/"):
        if not part:
            continue
        match = _BACKTRACK.fullmatch(part)
        wish = Wish(match["name"], int(match["count"])) if match else Wish(part)
        if is_reserved(wish.channel):
            raise Refused(*NOT_AUTHORIZED)
        wishes[wish.channel] = wish
    if not wishes:
        raise Refused(*NO_CHANNEL)
    if len(wishes) > most:
        raise Refused(*too_many(most))
    return tuple(wishes.values())


def too_many(most: int) -> tuple[HTTPStatus, str]:
    """The refusal of a request that names more than `most` channels."""
    return HTTPStatus.FORBIDDEN, f"At most {most} channels at once."


def is_reserved(channel: str) -> bool:
    """Whether the name means several channels."""
    return channel == "ALL" or "*" in channel


def answer(
    status: HTTPStatus,
    body: bytes = b"",
    content_type: str = "text/plain",
    headers: dict[str, str] | None = None,
) -> Response:
    """An answer that nobody may keep."""
    return Response(status, body, content_type, {**_NO_CACHE, **(headers or {})})
