"""PostgreSQL, Redis and rsyslog of Debian, each a process of the test's own on a socket that nobody else has.

What is not installed skips the test, with what to install (in CI a skip is a failure).
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.polling import eventually

_END_TIMEOUT = 15.0


def require_program(name: str, package: str, *folders: str) -> str:
    """Where the program is; skips the test when it is missing."""
    path = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", *folders]))
    if path is None:
        pytest.skip(f"{name} is missing: make system-packages, or apt-get install {package}")
    return path


def can_connect(port: int) -> bool:
    """Whether somebody listens on this port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class PrivateServer:
    """One server; its data and its address stay the same over kill() and start()."""

    crash_signal = signal.SIGKILL

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nsqgw-"))
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What to run."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        try:
            eventually(self._check_ready, what=f"{type(self).__name__} is ready")
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.send_signal(self.crash_signal)
            self._process.wait(_END_TIMEOUT)
            self._process = None

    def close(self) -> None:
        """End it, and remove its data."""
        self.kill()
        shutil.rmtree(self.folder)

    def _check_ready(self) -> bool:
        assert self._process is not None
        log = self.folder / "log"
        assert self._process.poll() is None, f"{type(self).__name__} ended:\n{log.read_text()}"
        return self.is_ready()


def unprivileged(folder: Path) -> list[str]:
    """How to run a command as somebody who is not root, who then owns `folder`; nothing when we are not."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "postgres", "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


@functools.cache
def _new_cluster(initdb: str) -> Path:
    """An empty database, to be copied: making one takes a second."""
    folder = Path(tempfile.mkdtemp(prefix="nsqgw-"))
    atexit.register(shutil.rmtree, folder)
    options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "--no-locale", "--no-instructions"]
    command = [*unprivileged(folder), initdb, "-D", str(folder / "data"), *options]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder / "data"


class PostgresqlServer(PrivateServer):
    """On a Unix socket in its folder; everybody is let in as `postgres`."""

    crash_signal = signal.SIGQUIT  # "immediate": no clean end, but no orphans that hold its memory

    def __init__(self) -> None:
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        self._programs = [
            require_program(name, "postgresql", *map(str, versions)) for name in ("initdb", "postgres")
        ]
        super().__init__()
        self._as_other = unprivileged(self.folder)
        cluster = _new_cluster(self._programs[0])
        subprocess.run([*self._as_other, "cp", "-r", "--reflink=auto", cluster, self.folder], check=True)

    @property
    def dsn(self) -> str:
        return f"host={self.folder} user=postgres dbname=postgres"

    def command(self) -> list[str]:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "shared_buffers": "8MB",
            "autovacuum": "off",
            "fsync": "off",  # here processes die, and no machine does
        }
        flags = [f"-c{name}={value}" for name, value in options.items()]
        return [*self._as_other, self._programs[1], "-D", str(self.folder / "data"), *flags]

    def is_ready(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.dsn).close()
        except psycopg.OperationalError:
            return False
        return True

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """What a statement returns."""
        import psycopg

        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else []


class RedisServer(PrivateServer):
    """On a Unix socket in its folder; every write is on its disk before it answers."""

    def __init__(self) -> None:
        self._program = require_program("redis-server", "redis-server")
        super().__init__()

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/redis.sock"

    def command(self) -> list[str]:
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        return [self._program, "--port", "0", "--unixsocket", f"{self.folder}/redis.sock", *durable]

    def is_ready(self) -> bool:
        return self.ask(lambda redis: redis.ping(), None) is True

    def ask(self, question: Callable[..., object], otherwise: object = None) -> object:
        """What `question(client)` gives; `otherwise` while it cannot be asked."""
        import redis

        with redis.Redis.from_url(self.url) as client:
            try:
                return question(client)
            except redis.RedisError:
                return otherwise


_RSYSLOG = """
global(
    workDirectory="{folder}" maxMessageSize="256k" parser.escapeControlCharactersOnReceive="off" {files}
)
main_queue(queue.type="Direct")
module(load="imtcp"{tls})
template(name="body" type="string" string="%msg%\\n")
template(
    name="header" type="string"
    string="%pri% %timestamp:::date-rfc3339% %hostname% %app-name% %structured-data%\\n"
)
input(type="imtcp" address="127.0.0.1" port="{port}" listenPortFileName="{folder}/port")
action(type="omfile" file="{folder}/bodies" template="body")
action(type="omfile" file="{folder}/headers" template="header")
"""

_RSYSLOG_TLS = ' streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon"'


class RsyslogServer(PrivateServer):
    """Writes what it reads to files at once: it has no queue that a crash would empty.

    Killed between reading and writing it would lose what no sender can know of: it is ended in order.
    """

    crash_signal = signal.SIGTERM

    def __init__(self, ca: str = "", certificate: str = "", key: str = "") -> None:
        self._program = require_program("rsyslogd", "rsyslog")
        if ca and not list(Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so")):
            pytest.skip("rsyslog has no TLS: make system-packages, or apt-get install rsyslog-openssl")
        super().__init__()
        files = {"CA": ca, "Cert": certificate, "Key": key} if ca else {}
        self._tls = {
            "files": " ".join(f'defaultNetstreamDriver{kind}File="{path}"' for kind, path in files.items()),
            "tls": _RSYSLOG_TLS if ca else "",
        }
        self._port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def bodies(self) -> list[bytes]:
        return self._lines("bodies")

    @property
    def headers(self) -> list[bytes]:
        return self._lines("headers")

    def command(self) -> list[str]:
        config = self.folder / "rsyslog.conf"
        config.write_text(_RSYSLOG.format(folder=self.folder, port=self._port, **self._tls))
        (self.folder / "pid").unlink(missing_ok=True)
        return [self._program, "-n", "-f", str(config), "-i", f"{self.folder}/pid"]

    def is_ready(self) -> bool:
        file = self.folder / "port"
        if not self._port:
            self._port = int((file.read_text() if file.exists() else "") or 0)
        return bool(self._port) and can_connect(self._port)

    def _lines(self, name: str) -> list[bytes]:
        file = self.folder / name
        return file.read_bytes().split(b"\n")[:-1] if file.exists() else []
