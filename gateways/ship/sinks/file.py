"""Lines to files: on the disk, file and folder, before the messages are finished.

Names have the places of nsq_to_file, and those of templates that each event fills. Files are begun anew by
time and size, compressed, and moved to another folder when they are finished. A full disk or a vanished
folder is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import Field, model_validator

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import Fate, Outcome, Sink, SinkUnusable
from gateways.service.values import Bytes, Seconds
from gateways.ship.files.compression import SUFFIXES, compression_of
from gateways.ship.files.hook import FinishedHook
from gateways.ship.files.names import DATETIME, REV, check_rev, split_folder, with_host
from gateways.ship.files.recovery import recover
from gateways.ship.files.series import FileRules, Series
from gateways.ship.sinks.base import ThreadSink
from gateways.ship.sinks.ndjson import ndjson_line
from gateways.ship.sinks.outcomes import Failure, outcome_of
from gateways.ship.sinks.settings import PathText, SinkSettings
from gateways.ship.sinks.targets import Targets
from gateways.ship.template import Template, in_path
from nsqgw.message import Message

logger = logging.getLogger(__name__)

_TICK = 1.0
_FATES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.EINVAL), Fate.BLOCKED),
    errno.ENAMETOOLONG: Fate.REJECTED,
}


class FileSettings(SinkSettings):
    """Lines to files; names may have <TOPIC> <HOST> <PID> <DATETIME> <REV>, and the places of templates."""

    type: Literal["file"] = "file"
    path: PathText = Field(min_length=1, description="with <TOPIC> <HOST> <PID> <DATETIME> <REV>; a template")
    folder: PathText | None = Field(
        default=None, description="which `path` is relative to; by default what stands before its first place"
    )
    work_folder: PathText | None = Field(
        default=None, description="where a file is while it is written; finished ones move"
    )
    host_identifier: str = Field(
        default="", description="of <HOST>, with <SHORT_HOST> or <HOSTNAME>; by default the short name"
    )
    datetime_format: str = Field(
        default="%Y-%m-%d_%H",
        description="of <DATETIME>, the time of writing; in templates it is the event's",
    )
    utc: bool = Field(default=False, description="both by UTC, not by the local clock")
    rotate_interval: Seconds = Field(default=0.0, ge=0, description="begin the next file after so long")
    rotate_size: Bytes = Field(default=0, ge=0, description="begin the next file when one is larger")
    keep_empty: bool = Field(
        default=False, description="begin the next file on time, even with nothing to write"
    )
    format: Literal["lines", "ndjson"] = Field(
        default="lines", description="lines: a body and a newline; ndjson: always one line"
    )
    compression: Literal["none", "gzip", "zstd"] = Field(default="none", description="of the files")
    level: int | None = Field(default=None, ge=1, le=22, description="the format's own; gzip has 9")
    sync: bool = Field(default=True, description="false: a power cut loses what was confirmed")
    sync_interval: Seconds = Field(
        default=0.0, ge=0, le=20, description="an fsync waits so long for more batches to share it"
    )
    finished_hook: tuple[str, ...] = Field(
        default=(),
        description="a program and its arguments, run with the path of each file that gets no more lines",
    )
    max_open_files: int = Field(
        default=100, ge=1, le=10_000, description="of a template; the one not written for longest is closed"
    )

    @model_validator(mode="after")
    def _check(self) -> FileSettings:
        reasons = {
            f"compression = {self.compression!r}": self.compression != "none",
            "rotate_interval": self.rotate_interval > 0,
            "rotate_size": self.rotate_size > 0,
            "work_folder": self.work_folder is not None,
        }
        for reason, applies in reasons.items():
            if applies:
                check_rev(self.path, reason)
        if self.compression == "gzip" and self.level is not None and self.level > 9:
            raise ValueError(f"level = {self.level} is too high for gzip: it must be between 1 and 9")
        name = self.name()[1]
        Template(name, escape=in_path)
        if self.folder is not None and (os.path.isabs(name) or ".." in name.split("/")):
            raise ValueError(
                f"path = {self.path!r} leads out of folder = {self.folder!r}: write a name in it"
            )
        return self

    def make(self, concurrency: int) -> Sink:
        """The sink; its writes are in order of their own, whatever `concurrency`."""
        return FileSink(self, concurrency)

    def name(self) -> tuple[str, str]:
        """The folder, and the template of the name in it."""
        path = with_host(self.path, self.host_identifier)
        if not any((self.compression != "none", self.rotate_interval, self.rotate_size, self.work_folder)):
            path = path.replace(REV, "")
        suffix = SUFFIXES[self.compression]
        if not path.endswith(suffix):
            path += suffix
        folder, name = split_folder(path) if self.folder is None else (os.path.abspath(self.folder), path)
        return folder, name.replace("<TOPIC>", "{topic}")

    def rules(self, on_finished: Callable[[str], None]) -> FileRules:
        """All but the name. Raises SinkUnusable."""
        return FileRules(
            self.name()[0],
            os.path.abspath(self.work_folder) if self.work_folder is not None else None,
            self.datetime_format,
            self.utc,
            self.rotate_interval,
            self.rotate_size,
            compression_of(self.compression, self.level),
            self.keep_empty,
            self.sync,
            on_finished,
        )


class FileSink(ThreadSink):
    """Confirmed once file and folder are on the disk; several topics or fields may fill several files."""

    name = "file"

    def __init__(self, settings: FileSettings, concurrency: int = 1) -> None:
        super().__init__(settings.sync_interval, concurrency)
        self._settings = settings
        self._name = settings.name()[1]
        self._template = Template(self._name, escape=in_path, utc=settings.utc)
        self._targets = Targets(self._template)
        self._rules = FileRules("")
        self._series: OrderedDict[str, Series] = OrderedDict()
        self._closed: list[Series] = []  # with files that could not be moved yet
        self._ticker: asyncio.Task[None] | None = None
        self._hook: FinishedHook | None = None

    def describe(self) -> str:
        return f"file {os.path.abspath(os.path.join(self._settings.folder or '', self._settings.path))}"

    def encode(self, message: Message) -> bytes:
        """The body as it is, or one line of NDJSON."""
        line = ndjson_line(message.body) if self._settings.format == "ndjson" else message.body
        return self._targets.mark(line, message)

    async def open(self) -> None:
        """Open the file, or look whether its folder can be written to. Raises SinkUnusable."""
        await super().open()
        rules = self._rules
        if rules.work_folder is not None or rules.rotate_interval or rules.keep_empty:
            self._ticker = asyncio.create_task(self._tick_on())

    async def close(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        await super().close()

    async def _tick_on(self) -> None:
        assert self._lane is not None, "the sink was not opened"
        while True:
            await asyncio.sleep(_TICK)
            await self._lane.submit(self._tick)

    # -- in the thread

    def _open(self) -> None:
        command = self._settings.finished_hook
        self._hook = FinishedHook(command) if command else None
        self._rules = self._settings.rules(self._hook or (lambda path: None))
        constant = self._template.constant
        if constant is not None and DATETIME not in constant and not self._rules.exclusive:
            self._open_at_once(constant)
            return
        for folder in {self._rules.folder, self._rules.root}:
            if not os.path.isdir(folder):
                raise SinkUnusable(f"cannot write to {folder}: create the folder first")
            if not os.access(folder, os.W_OK | os.X_OK):
                raise SinkUnusable(f"cannot write to {folder}: choose a folder that this user may write")
        self._recover()

    def _open_at_once(self, name: str) -> None:
        path = os.path.join(self._rules.root, name)
        try:
            if os.path.lexists(path) and not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
                raise SinkUnusable(f"{path} is no regular file; use '--to stdout' for pipes")
            self._recover()
            self._series_of(name).prepare()
        except OSError as error:
            folder = os.path.dirname(path)
            remedy = "choose a file that this user may write"
            if not os.path.isdir(folder):
                remedy = f"create the folder {folder} first"
            raise SinkUnusable(f"cannot write to {path}: {error.strerror}; {remedy}") from error

    def _recover(self) -> None:
        if self._rules.work_folder is not None:
            try:
                recover(self._name, self._rules)
            except OSError as error:
                raise SinkUnusable(f"cannot move the files left behind: {error}") from error

    def _write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Each series in one go, whatever batches its events come from."""
        failures: list[dict[int, Failure]] = []
        members: dict[str, list[tuple[int, int]]] = {}  # number of the batch, index in it
        for number, batch in enumerate(batches):
            places, refused = self._targets.sort(batch.events)
            failures.append(refused)
            for name, indexes in places.items():
                members.setdefault(name, []).extend((number, index) for index in indexes)
        for name, events in members.items():
            lines = [batches[number].events[index] for number, index in events]
            done, error = self._series_of(name).write(lines)
            if error is not None:
                failure = (_FATES.get(error.errno or 0, Fate.RETRY), error.strerror or str(error))
                for number, index in events[done:]:
                    failures[number][index] = failure
        return [outcome_of(len(batch), failed) for batch, failed in zip(batches, failures, strict=True)]

    def _series_of(self, name: str) -> Series:
        series = self._series.get(name)
        if series is None:
            series = self._series[name] = Series(name, self._rules)
            if len(self._series) > self._settings.max_open_files:
                self._finish(self._series.popitem(last=False)[1])
        self._series.move_to_end(name)
        return series

    def _finish(self, series: Series) -> None:
        series.finish()
        if not series.is_moved:
            self._closed.append(series)

    def _tick(self) -> None:
        for series in (*self._series.values(), *self._closed):
            try:
                series.tick()
            except OSError as error:
                logger.warning("file %s: %s", series.path, error.strerror or error)
        self._closed = [series for series in self._closed if not series.is_moved]

    def _close(self) -> None:
        for series in self._series.values():
            series.finish()
        if self._hook is not None:
            self._hook.close()
