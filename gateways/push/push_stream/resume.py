"""Where a client of push-stream goes on: after an event id, after a time and tag, or some messages back."""

from __future__ import annotations

import re
from dataclasses import replace
from email.utils import parsedate_to_datetime

from gateways.push.audience import Subscriber
from gateways.push.history import Numbering, Replay
from gateways.push.http import Request
from gateways.push.hub import Hub
from gateways.push.position import OLDEST
from gateways.push.push_stream.paths import Wish
from gateways.push.push_stream.stamps import position_of

TIME, TAG, EVENT_ID = "time", "tag", "eventid"
"""Arguments that stand for If-Modified-Since, If-None-Match and Last-Event-ID, as in pushstream.js."""

_TAG = re.compile(r'(?:W/)?"?([0-9]{1,16})"?', re.ASCII)
_LONGEST_ID = 200


def resumed_at(request: Request, numbering: Numbering) -> str | None:
    """The hub's position after the last message that the client has; None for a newcomer.

    Headers go before arguments, an event id before a time. Event ids are positions of the hub; one that is
    none leads to a gap. A time that cannot be read counts as not given.
    """
    shown = request.headers.get("last-event-id") or request.argument(EVENT_ID)
    if shown:
        return shown[:_LONGEST_ID]
    seconds = _seconds(request.headers.get("if-modified-since") or request.argument(TIME) or "")
    if seconds is None:
        return None
    match = _TAG.fullmatch(request.headers.get("if-none-match") or request.argument(TAG) or "")
    return position_of(int(match[1]) if match else None, seconds, numbering)


def begin(hub: Hub, wish: Wish, since: str | None, subscriber: Subscriber) -> Replay:
    """Follow a channel; what comes first is what was missed, for a newcomer the backtrack."""
    if since is not None or not wish.backtrack:
        return hub.subscribe(wish.channel, subscriber, since)
    replay = hub.subscribe(wish.channel, subscriber, OLDEST)
    return replace(replay, frames=replay.frames[-wish.backtrack :])


def _seconds(date: str) -> int | None:
    try:
        return max(0, int(parsedate_to_datetime(date).timestamp())) if date else None
    except (ValueError, OverflowError):
        return None
