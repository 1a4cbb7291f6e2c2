"""Faults to order: what nsqd does wrong on purpose, so that tests can see how a program takes it.

`Faults` is what tests set (`nsqd.faults`), and pure policy: the watched client asks `judge` about each
command and `on_delivery` about each message, and carries the verdicts out.

A fault holds for all TCP connections of its nsqd, those that exist as well. It counts the commands of its
kind from when it was set, over all connections, and strikes the `nth` only or, without `nth`, each. Several
may be set: each counts for itself; delays add up, otherwise the one set first decides.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import Enum

from nsqgw.errors import SERVER_ERRORS, ConfigError, ServerError, server_error

COMMANDS = (
    "IDENTIFY", "AUTH", "SUB", "RDY", "FIN", "REQ", "TOUCH", "CLS", "NOP", "PUB", "MPUB", "DPUB",
)  # fmt: skip

REFUSED = "E_INVALID cannot {command} in current state"


class Kind(Enum):
    """What a fault does."""

    DELAY = "delay"
    DROP = "drop"
    FAIL = "fail"
    DISCONNECT = "disconnect"
    DUPLICATE = "duplicate"


@dataclass(eq=False)
class Fault:
    """One fault that was set. `seen` counts what it looked at, `struck` how often it did something."""

    kind: Kind
    command: str
    nth: int | None = None
    seconds: float = 0.0
    error: ServerError | None = None
    seen: int = 0
    struck: int = 0
    lifted: bool = field(default=False, repr=False)

    def lift(self) -> None:
        """Strike no more."""
        self.lifted = True

    def strikes(self) -> bool:
        """Count one more; whether this is the one."""
        if self.lifted:
            return False
        self.seen += 1
        if self.nth not in (None, self.seen):
            return False
        self.struck += 1
        return True


@dataclass(frozen=True)
class Verdict:
    """What is to happen to a command: wait `delay` seconds, then `fault`, or without one the usual."""

    delay: float = 0.0
    fault: Fault | None = None


USUAL = Verdict()


class Faults:
    """The faults of one nsqd. Each method sets one and returns it: `fault.lift()` takes it back.

    Commands are named as on the wire, such as "PUB"; `nth` counts from 1. ConfigError says what cannot be.
    """

    def __init__(self) -> None:
        self._set: tuple[Fault, ...] = ()
        self._lock = threading.Lock()

    def fail(self, command: str, nth: int | None = None, error: str | None = None) -> Fault:
        """Answer with an error, "CODE" or "CODE text", in place of doing it; by default the command's own.

        After all but E_FIN_FAILED, E_REQ_FAILED and E_TOUCH_FAILED nsqd closes the connection, so here too.
        """
        return self._add(Fault(Kind.FAIL, _known(command), _count(nth), error=_error(command, error)))

    def refuse(self, command: str, nth: int | None = None) -> Fault:
        """Answer E_INVALID and close the connection, as nsqd does with commands it does not allow."""
        return self.fail(command, nth, REFUSED.format(command=command))

    def drop(self, command: str, nth: int | None = None) -> Fault:
        """Take no notice of it: nothing is done, nothing answered."""
        return self._add(Fault(Kind.DROP, _known(command), _count(nth)))

    def delay(self, command: str, seconds: float, nth: int | None = None) -> Fault:
        """Take `seconds` to do it, by `nsqd.clock`; what comes behind it on the connection waits, too."""
        if command == "IDENTIFY":
            raise ConfigError(
                "IDENTIFY cannot be delayed: it changes how all that follows is read; delay SUB"
            )
        if not 0 <= seconds < float("inf"):
            raise ConfigError(f"seconds = {seconds!r} must be 0 or more")
        return self._add(Fault(Kind.DELAY, _known(command), _count(nth), seconds=seconds))

    def disconnect(self, command: str, nth: int | None = None) -> Fault:
        """Close the connection in place of doing it."""
        return self._add(Fault(Kind.DISCONNECT, _known(command), _count(nth)))

    def disconnect_after(self, messages: int) -> Fault:
        """Once `messages` were delivered from now on, close the connection of the last, right behind it."""
        return self._add(Fault(Kind.DISCONNECT, DELIVERY, _count(messages)))

    def duplicate(self, nth: int | None = None) -> Fault:
        """Deliver a message once more after it was finished, as when FIN is lost; the second FIN counts.

        `nth` counts messages delivered, including those that come again.
        """
        return self._add(Fault(Kind.DUPLICATE, DELIVERY, _count(nth)))

    def clear(self) -> None:
        """Take all of them back."""
        with self._lock:
            self._set = ()

    def judge(self, command: str) -> Verdict:
        """What is to happen to this command."""
        struck = self._strike(command)
        if not struck:
            return USUAL
        others = [fault for fault in struck if fault.kind is not Kind.DELAY]
        return Verdict(sum(fault.seconds for fault in struck), others[0] if others else None)

    def on_delivery(self) -> set[Kind]:
        """What is to happen with the message about to be delivered."""
        return {fault.kind for fault in self._strike(DELIVERY)}

    def _strike(self, command: str) -> list[Fault]:
        return [fault for fault in self._set if fault.command == command and fault.strikes()]

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._set = (*self._set, fault)
        return fault


DELIVERY = "delivery"

_OWN_ERRORS = {
    "IDENTIFY": "E_IDENTIFY_FAILED",
    "AUTH": "E_AUTH_FAILED",
    "SUB": "E_SUB_FAILED",
    "FIN": "E_FIN_FAILED",
    "REQ": "E_REQ_FAILED",
    "TOUCH": "E_TOUCH_FAILED",
    "PUB": "E_PUB_FAILED",
    "MPUB": "E_MPUB_FAILED",
    "DPUB": "E_DPUB_FAILED",
}


def _known(command: str) -> str:
    if command not in COMMANDS:
        raise ConfigError(f"command = {command!r} must be one of {', '.join(COMMANDS)}")
    return command


def _count(count: int | None) -> int | None:
    if count is not None and (not isinstance(count, int) or count < 1):
        raise ConfigError(f"{count!r} must be a count, 1 or more")
    return count


def _error(command: str, error: str | None) -> ServerError:
    if error is None:
        error = f"{_OWN_ERRORS.get(command, 'E_INVALID')} {command} failed on purpose"
    if error.partition(" ")[0] not in SERVER_ERRORS:
        raise ConfigError(f"error = {error!r} must begin with one of {', '.join(sorted(SERVER_ERRORS))}")
    return server_error(error.encode())
