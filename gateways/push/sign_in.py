"""Tokens on a multiplexed connection: the first one, the ones that renew it, and what happens without.

A token may come with the request or as the command `auth`, first or at any later time. The client is told
before it expires; it may go on for the gate's grace after that, but no more commands are carried out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateways.push.access.gate import BadToken, ExpiredToken, UnknownKey
from gateways.push.access.grant import Grant, Right
from gateways.push.http import BadRequest
from gateways.push.protocol import Command, Fault, Refused, reply
from gateways.push.session import Ending

if TYPE_CHECKING:
    from gateways.push.multiplex import MultiplexSession

WARN = 25.0
"""Seconds before the end of a token at which the client is told; half of what is left where that is less."""


def asked_of(session: MultiplexSession) -> str:
    """What `hello` tells of tokens: none, optional where the client may do something without, or required."""
    if session.context.gate.verifier is None:
        return "none"
    return "required" if session.visitor.grant is None else "optional"


def expect(session: MultiplexSession) -> None:
    """A connection has opened: plan the reminder of its token, or the wait for the first one."""
    visitor, context = session.visitor, session.context
    if visitor.grant is None:
        visitor.due = context.clock() + context.gate.first_command
    else:
        left = visitor.expires_at - context.clock()
        visitor.due = visitor.expires_at - min(WARN, left / 2)


def remind(session: MultiplexSession, now: float) -> None:
    """The time planned has come: tell the client, or close its connection."""
    visitor = session.visitor
    closing = visitor.expires_at + session.context.gate.grace
    if visitor.grant is None:
        session.close(Ending.NO_TOKEN)
    elif now >= closing:
        session.close(Ending.TOKEN_EXPIRED)
    else:
        visitor.due = closing
        session.say({"push": "expiring", "seconds": max(0, round(visitor.expires_at - now))})


def begin(session: MultiplexSession, command: Command) -> None:
    """Look at the token of an `auth` command; the reply comes when that is done, one token at a time."""
    if session.signing_in:
        raise Refused(Fault.TOO_MANY_REQUESTS, "one token at a time")
    token, gate = command.text("token"), session.context.gate
    try:
        _hold(session, command, gate.verify(token))
    except UnknownKey:
        session.signing_in = True
        session.context.errands.run(_look_again(session, command, token))
    except BadToken as error:
        _turn_down(session, command, error)


async def _look_again(session: MultiplexSession, command: Command, token: str) -> None:
    """The token names a key that is not known, and there may be new ones."""
    try:
        grant = await session.context.gate.verify_with_new_keys(token)
    except BadToken as error:
        _turn_down(session, command, error)
    else:
        if session.open:
            _hold(session, command, grant)
    finally:
        session.signing_in = False


def _turn_down(session: MultiplexSession, command: Command, error: BadToken) -> None:
    if not isinstance(error, ExpiredToken):
        session.refuse(command, Refused(Fault.UNAUTHORIZED, str(error)))
        session.close(Ending.INVALID_TOKEN)
        return
    session.refuse(command, Refused(Fault.TOKEN_EXPIRED, str(error)))
    if session.visitor.grant is None:
        session.close(Ending.TOKEN_EXPIRED)


def _hold(session: MultiplexSession, command: Command, grant: Grant) -> None:
    visitor, context = session.visitor, session.context
    if visitor.user is not None and grant.user != visitor.user:
        session.refuse(command, Refused(Fault.NOT_ALLOWED, "the token is another user's"))
        return
    now = context.clock()
    try:
        context.gate.hold(visitor, grant, now)
    except BadRequest as error:
        session.refuse(command, Refused(Fault.TOO_MANY_REQUESTS, str(error)))
        session.close(Ending.TOO_MANY_CONNECTIONS)
        return
    expect(session)
    seconds = None if grant.expires is None else round(visitor.expires_at - now)
    session.say(reply(command, user=grant.user, expires=seconds))
    for channel in sorted(session.topics):
        if not grant.permits(Right.SUBSCRIBE, channel):
            session.unsubscribed(channel)
        elif not grant.permits(Right.PRESENCE, channel):
            context.presence.unwatch(channel, session)
