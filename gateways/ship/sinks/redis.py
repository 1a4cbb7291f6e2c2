"""Events to Redis: appended to a list, or added to a stream.

Every command of a batch has its own answer. An answer means that the event is in Redis's memory; when it is
on its disk is the server's `appendfsync`, and `wait_replicas` asks for copies.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from gateways.pipeline.batch import Batch
from gateways.pipeline.identity import event_id
from gateways.pipeline.sink import Fate, Outcome, Sink, SinkUnusable
from gateways.service.values import Seconds
from gateways.ship.sinks.outcomes import Failure, outcome_of
from gateways.ship.sinks.settings import SinkSettings, TemplateText
from gateways.ship.sinks.targets import Targets
from gateways.ship.template import Template
from nsqgw.message import Message
from nsqgw.service.settings import mask_url

if TYPE_CHECKING:
    from redis.asyncio import Redis

_SCHEMES = ("redis://", "rediss://", "unix://")
_HOST = re.compile("[/?#]")  # what ends it
_COMMANDS = {"list": "RPUSH", "stack": "LPUSH", "publish": "PUBLISH", "set": "SET"}
_BLOCKED = ("WRONGTYPE", "NOAUTH", "WRONGPASS", "NOPERM", "MOVED", "ASK", "CROSSSLOT")
_REFUSED = ("HELLO must be called", "invalid username-password", "Authentication required")  # words of logins

# The mark comes after the push: an event whose push is refused must not count as there.
_PUSH_ONCE = """
if redis.call('EXISTS', KEYS[2]) == 0 then
    redis.call(ARGV[2], KEYS[1], unpack(ARGV, 3))
    redis.call('SET', KEYS[2], '1', 'EX', ARGV[1])
end
return 1
"""


def _checked(url: str) -> str:
    if not url.startswith(_SCHEMES):
        raise ValueError(
            f"{mask_url(url)!r} is no address of Redis: write one such as redis://127.0.0.1:6379/0"
        )
    return url


class RedisSettings(SinkSettings):
    """A list or a stream in Redis."""

    type: Literal["redis"] = "redis"
    url: Annotated[str, AfterValidator(_checked), PlainSerializer(mask_url, when_used="json")] = Field(
        description="`redis://`, `rediss://` (TLS) or `unix://`, with user, password and database"
    )
    mode: Literal["list", "stack", "stream", "publish", "set"] = Field(
        default="list",
        description="list: RPUSH; stack: LPUSH, the newest first; stream: XADD; publish: to those who listen"
        " just then; set: SET, the last one counts",
    )
    key: TemplateText = Field(default="{topic}", min_length=1, description="a template")
    max_length: int = Field(
        default=0, ge=0, description="older entries are cut off beyond so many; a stream about there"
    )
    dedupe: Seconds = Field(
        default=0.0, ge=0, description="leave out an event that comes again within; costs a key for each"
    )
    wait_replicas: int = Field(default=0, ge=0, le=100, description="copies to wait for")
    timeout: Seconds = Field(default=10.0, gt=0, le=60, description="for connecting, and for an answer")

    @model_validator(mode="after")
    def _check(self) -> RedisSettings:
        if self.max_length and self.mode in ("publish", "set"):
            raise ValueError(f"max_length has no meaning with mode {self.mode}: leave it out")
        return self

    def make(self, concurrency: int) -> Sink:
        """The sink, with a connection for each batch on its way."""
        return RedisSink(self)


class RedisSink:
    """One Redis server. A batch is one pipeline, not a transaction."""

    event_overhead = 0
    max_events = 0
    max_bytes = 0

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._where = mask_url(settings.url)
        self.name = f"redis {_HOST.split(settings.url.partition('://')[2].rpartition('@')[2])[0]}".strip()
        self._targets = Targets(Template(settings.key))
        self._redis: Redis | None = None

    async def open(self) -> None:
        """Nothing is sent: a server that is down at the start is waited for, as at any other time."""
        try:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError as error:
            raise SinkUnusable("the sink needs redis: pip install 'nsqgw[redis]'") from error
        try:
            self._redis = Redis.from_url(
                self._settings.url,
                socket_timeout=self._settings.timeout,
                socket_connect_timeout=self._settings.timeout,
                retry=Retry(NoBackoff(), 0),  # trying again is the pipeline's, which knows of duplicates
            )
        except ValueError as error:
            raise SinkUnusable(f"{self._where} cannot be used: {error}") from error

    async def probe(self) -> None:
        """Log in and ask for a sign of life. Raises SinkUnusable."""
        from redis.exceptions import RedisError

        client: Any = self._redis
        try:
            await client.execute_command("PING")
        except (RedisError, OSError) as error:
            raise SinkUnusable(f"{self._where}: {_failure(error)[1]}") from error

    def encode(self, message: Message) -> bytes:
        """The body itself."""
        return self._targets.mark(message.body, message)

    async def send(self, batch: Batch) -> Outcome:
        """One command for each event, and what came of each."""
        from redis.exceptions import RedisError

        assert self._redis is not None, "the sink was not opened"
        places, failures = self._targets.sort(batch.events)
        sent = {index: key for key, indexes in places.items() for index in indexes}
        pipeline = self._redis.pipeline(transaction=False)
        for index in sorted(sent):  # in the order of arrival
            command = self._command(sent[index], batch.messages[index], batch.events[index])
            pipeline.execute_command(*command)
        self._add_trims(pipeline, places)
        if self._settings.wait_replicas:
            milliseconds = round(self._settings.timeout * 500)
            pipeline.execute_command("WAIT", self._settings.wait_replicas, milliseconds)
        try:
            answers = await pipeline.execute(raise_on_error=False) if sent else []
        except (RedisError, OSError, asyncio.TimeoutError) as error:
            failures |= dict.fromkeys(sent, _failure(error))
            return replace(outcome_of(len(batch), failures), unsure=not self._settings.dedupe)
        failures |= self._failures(answers, sorted(sent))
        if failures:  # a server that became a replica refuses on its connections what the new one takes
            await self._redis.connection_pool.disconnect(inuse_connections=False)
        outcome = outcome_of(len(batch), failures)
        twice = self._lacks_copies(answers) and not self._settings.dedupe
        return replace(outcome, unsure=True) if twice else outcome

    async def close(self) -> None:
        """Cut the connections."""
        if self._redis is not None:
            await self._redis.aclose()

    def describe(self) -> str:
        return f"redis {self._settings.mode} {self._settings.key} at {self._where}"

    # -- commands and answers

    def _command(self, key: str, message: Message, event: bytes) -> list[Any]:
        settings = self._settings
        if settings.mode == "stream":
            command = "XADD"
            limit: list[Any] = ["MAXLEN", "~", settings.max_length] if settings.max_length else []
            fields: list[Any] = ["body", event, "topic", message.topic, "id", message.id]
            fields += ["timestamp", message.timestamp, "attempts", message.attempts]
            arguments = [*limit, "*", *fields]
        else:
            command, arguments = _COMMANDS[settings.mode], [event]
        if not settings.dedupe:
            return [command, key, *arguments]
        mark = f"nsqgw:seen:{key}:{event_id(message)}"
        return ["EVAL", _PUSH_ONCE, 2, key, mark, max(1, round(settings.dedupe)), command, *arguments]

    def _add_trims(self, pipeline: Any, keys: Iterable[str]) -> None:
        length = self._settings.max_length
        if not length or self._settings.mode not in ("list", "stack"):
            return
        first, last = (-length, -1) if self._settings.mode == "list" else (0, length - 1)
        for key in keys:
            pipeline.execute_command("LTRIM", key, first, last)

    def _failures(self, answers: Sequence[Any], sent: Sequence[int]) -> dict[int, Failure]:
        """What the answers to the events' commands say, and that to WAIT."""
        failed = {
            index: _failure(answer)
            for index, answer in zip(sent, answers, strict=False)
            if isinstance(answer, Exception)
        }
        if self._lacks_copies(answers):
            missing = (Fate.RETRY, f"fewer than {self._settings.wait_replicas} replicas have it in time")
            return dict.fromkeys(sent, missing) | failed
        return failed

    def _lacks_copies(self, answers: Sequence[Any]) -> bool:
        """Whether the events are there, and not on as many replicas as they have to be."""
        wanted = self._settings.wait_replicas
        return bool(wanted and answers) and not (isinstance(answers[-1], int) and answers[-1] >= wanted)


def _failure(error: Exception) -> Failure:
    return _fate(error), str(error) or type(error).__name__


def _fate(error: Exception) -> Fate:
    """Credentials, rights and keys of another kind need a person; all else passes."""
    from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError

    if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError):
        return Fate.BLOCKED
    return Fate.BLOCKED if str(error).startswith(_BLOCKED + _REFUSED) else Fate.RETRY
