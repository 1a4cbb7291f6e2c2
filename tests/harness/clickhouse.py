"""ClickHouse's own engine (chdb) behind as much of its HTTP interface as inserts and questions need.

The formats, the error codes and what is atomic are those of the engine; so is what a key column is good for.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tornado.httputil import HTTPServerRequest

from harness.log_services import LogService, Reply, unpacked

_CODE = re.compile(r"Code: (\d+)\.")
_STATUSES = {60: 404, 81: 404, 16: 404, 47: 404, 516: 403, 497: 403, 159: 408, 202: 503, 242: 503}
_OF_HTTP = ("query", "database", "user", "password", "wait_end_of_query")
_INSERT = re.compile(r"(INSERT INTO \S+) (FORMAT \w+)$")
TABLE = "(key String, n Int64, at DateTime64(9)) ENGINE = ReplacingMergeTree ORDER BY key"


class ClickHouseEngine(LogService):
    """A server with a database `logs` and a table `events` in it, keyed by `key`; all on disk in `folder`."""

    def __init__(self, folder: Path) -> None:
        from chdb.session import Session  # 170 MB of engine, for who needs it

        self._session = Session(str(folder))
        self._session.query("CREATE DATABASE IF NOT EXISTS logs")
        self._session.query(f"CREATE TABLE IF NOT EXISTS logs.events {TABLE}")
        super().__init__()

    def take(self, request: HTTPServerRequest) -> Reply:
        settings = {name: values[0] for name, values in parse_qs(urlsplit(request.uri or "").query).items()}
        options = ", ".join(f"{name} = '{value}'" for name, value in settings.items() if name not in _OF_HTTP)
        query = settings.get("query", "")
        if options:
            query = _INSERT.sub(rf"\1 SETTINGS {options} \2", query)
        statement = query + "\n" + unpacked(request).decode()
        try:
            answer = self._session.query(statement, "JSONCompactEachRow").bytes()
        except RuntimeError as error:
            code = int(found[1]) if (found := _CODE.search(str(error))) else 1002
            headers = {"X-ClickHouse-Exception-Code": str(code)}
            return Reply(_STATUSES.get(code, 400 if code < 200 else 500), str(error), headers)
        return Reply(200, answer)

    async def close(self) -> None:
        await super().close()
        self._session.close()
