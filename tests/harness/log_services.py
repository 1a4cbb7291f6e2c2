"""Log services in the test's own loop that keep to their vendors' contracts: limits, errors and all.

Each keeps what it took in `events`, as bytes. `script` answers the next requests in place of the service.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tornado.httputil import HTTPServerRequest

from harness.log_service import LogService, Reply, unpacked

MB = 1_000_000


class Loggly(LogService):
    """Bulk and single addresses; 1 MB an event and 5 MB a batch."""

    token = "customer-token"
    _path = re.compile(r"/(bulk|inputs)/([^/]+)/(?:tag/([A-Za-z0-9._,-]+)/)?")

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[set[str]] = []

    def take(self, request: HTTPServerRequest) -> Reply:
        path = self._path.fullmatch(request.path)
        if path is None:
            return Reply(404, "<html>no such page</html>")
        if path[2] != self.token:
            return Reply(403, {"response": "forbidden"})
        body = unpacked(request)
        events = [body] if path[1] == "inputs" else [line for line in body.split(b"\n") if line.strip()]
        if len(body) > 5 * MB or any(len(event) > MB for event in events):
            return Reply(413, "<html>too large</html>")
        self.events += events
        tags = set((path[3] or "").split(",")) | set(request.headers.get("X-LOGGLY-TAG", "").split(","))
        self.tags += [tags - {""}] * len(events)
        return Reply(200, {"response": "ok"})


class Splunk(LogService):
    """The HTTP Event Collector. With `acknowledges` requests have ids, acknowledged once in `indexed`."""

    token = "hec-token"

    def __init__(self, *, acknowledges: bool = False, indexes_at_once: bool = True) -> None:
        super().__init__()
        self.acknowledges = acknowledges
        self.indexes_at_once = indexes_at_once
        self.max_content_length = MB
        self.indexed: set[int] = set()
        self._last_id = -1

    def restart(self) -> None:
        """Forget what was not indexed, and count from 0 again."""
        self._last_id = -1
        self.indexed.clear()

    def take(self, request: HTTPServerRequest) -> Reply:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return Reply(401, {"text": "Token is required", "code": 2})
        if scheme != "Splunk":
            return Reply(401, {"text": "Invalid authorization", "code": 3})
        if token != self.token:
            return Reply(403, {"text": "Invalid token", "code": 4})
        channel = request.headers.get("X-Splunk-Request-Channel") or request.query_arguments.get("channel")
        if not channel and (self.acknowledges or request.path.endswith(("raw", "ack"))):
            return Reply(400, {"text": "Data channel is missing", "code": 10})
        if request.path.endswith("/ack"):
            return self._acks(json.loads(request.body)["acks"])
        body = unpacked(request)
        if len(body) > self.max_content_length:
            return Reply(413, "Content-Length of the request is too large")
        if request.path.endswith("/raw"):
            return self._taken([line for line in body.split(b"\n") if line])
        if request.path not in ("/services/collector/event", "/services/collector"):
            return Reply(404, {"text": "Not Found", "code": 404})
        return self._events(body)

    def _events(self, body: bytes) -> Reply:
        if not body.strip():
            return Reply(400, {"text": "No data", "code": 5})
        taken: list[bytes] = []
        for number, (raw, event) in enumerate(_documents(body)):
            code = 6 if not isinstance(event, dict) else 12 if "event" not in event else 0
            if code == 0 and event["event"] in ("", None):
                code = 13
            if code == 0 and not isinstance(event.get("time", 0), int | float):
                code = 6
            if code:
                self.events += taken
                return Reply(400, {"text": "refused", "code": code, "invalid-event-number": number})
            taken.append(raw)
        return self._taken(taken)

    def _taken(self, events: list[bytes]) -> Reply:
        self.events += events
        reply: dict[str, Any] = {"text": "Success", "code": 0}
        if self.acknowledges:
            self._last_id += 1
            reply["ackId"] = self._last_id
            if self.indexes_at_once:
                self.indexed.add(self._last_id)
        return Reply(200, reply)

    def _acks(self, numbers: list[int]) -> Reply:
        if not self.acknowledges:
            return Reply(400, {"text": "ACK is disabled", "code": 14})
        return Reply(200, {"acks": {str(number): number in self.indexed for number in numbers}})


def _documents(body: bytes) -> Iterator[tuple[bytes, Any]]:
    """JSON documents one after the other; the first that is none ends it, as None."""
    text, at, decoder = body.decode("utf-8", "surrogateescape"), 0, json.JSONDecoder()
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            yield b"", None
            return
        yield text[at:end].encode("utf-8", "surrogateescape"), value
        at = end
        while at < len(text) and text[at].isspace():
            at += 1


class Elasticsearch(LogService):
    """`_bulk` with an answer for each item; `items` holds statuses that the next new documents get."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[tuple[str, str], bytes] = {}
        self.items: list[int] = []
        self.max_content_length = 100 * MB

    def take(self, request: HTTPServerRequest) -> Reply:
        body = unpacked(request)
        if not request.path.endswith("/_bulk") or request.method != "POST":
            return Reply(405, {"error": "Incorrect HTTP method"})
        if request.headers.get("Content-Type") not in ("application/x-ndjson", "application/json"):
            return Reply(406, {"error": "Content-Type header is not supported"})
        if len(body) > self.max_content_length:
            return Reply(413)
        lines = body.split(b"\n")
        if lines.pop() or len(lines) % 2:
            return Reply(400, {"error": {"type": "illegal_argument_exception"}, "status": 400})
        items = [self._item(action, source) for action, source in zip(lines[::2], lines[1::2], strict=True)]
        errors = any("error" in result for item in items for result in item.values())
        return Reply(200, {"errors": errors} | ({"items": items} if errors else {}))

    def _item(self, action: bytes, source: bytes) -> dict[str, Any]:
        ((kind, target),) = json.loads(action).items()
        index, identity = target["_index"], target.get("_id", f"auto-{len(self.stored)}")
        if kind == "create" and (index, identity) in self.stored:
            return {kind: {"status": 409, "error": {"type": "version_conflict_engine_exception"}}}
        status = self.items.pop(0) if self.items else 201
        try:
            assert isinstance(json.loads(source), dict)
        except (ValueError, AssertionError):
            status = 400
        if status >= 300:
            return {kind: {"status": status, "error": {"type": f"error_{status}", "reason": source.decode()}}}
        self.stored[index, identity] = source
        self.events.append(action + b"\n" + source)
        return {kind: {"status": status}}

    def restore(self, events: Iterable[bytes]) -> None:
        for event in events:
            action, source = event.split(b"\n")
            (target,) = json.loads(action).values()
            self.stored[target["_index"], target["_id"]] = source


class Loki(LogService):
    """The push API; the same line at the same time in the same stream is kept once."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: dict[str, list[list[Any]]] = {}
        self._known: set[tuple[str, bytes]] = set()
        self._restored: set[bytes] = set()  # in whichever stream

    def take(self, request: HTTPServerRequest) -> Reply:
        if request.path != "/loki/api/v1/push":
            return Reply(404, "404 page not found")
        for stream in json.loads(unpacked(request))["streams"]:
            labels = json.dumps(stream["stream"], sort_keys=True)
            if not stream["stream"]:
                return Reply(400, "error at least one label pair is required per stream")
            for entry in stream["values"]:
                if not isinstance(entry[0], str) or len(entry[1].encode()) > 256 * 1024:
                    return Reply(400, "line_too_long, or a timestamp that is no string")
                line = json.dumps(entry).encode()
                if (labels, line) not in self._known and line not in self._restored:
                    self._known.add((labels, line))
                    self.streams.setdefault(labels, []).append(entry)
                    self.events.append(line)
        return Reply(204)

    def restore(self, events: Iterable[bytes]) -> None:
        self._restored.update(events)


class Datadog(LogService):
    """Intake v2: 1000 entries, 5 MB; longer events than 1 MB are cut."""

    api_key = "dd-key"

    def take(self, request: HTTPServerRequest) -> Reply:
        if request.path != "/api/v2/logs":
            return Reply(404)
        if request.headers.get("DD-API-KEY") != self.api_key:
            return Reply(403, {"errors": [{"status": "403", "title": "Forbidden"}]})
        body = unpacked(request)
        entries = json.loads(body)
        if len(body) > 5 * MB or len(entries) > 1000:
            return Reply(413, {"errors": [{"status": "413", "title": "Request Entity Too Large"}]})
        self.events += [json.dumps(entry).encode()[:MB] for entry in entries]
        return Reply(202, {})


class Otlp(LogService):
    """OTLP/HTTP in both encodings, read by OpenTelemetry's own classes."""

    def take(self, request: HTTPServerRequest) -> Reply:
        from google.protobuf import json_format
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

        if request.path != "/v1/logs":
            return Reply(404)
        content_type = request.headers["Content-Type"]
        if content_type == "application/json":
            export = json_format.Parse(unpacked(request), ExportLogsServiceRequest())
        else:
            export = ExportLogsServiceRequest.FromString(unpacked(request))
        for resource in export.resource_logs:
            for scope in resource.scope_logs:
                self.events += [record.SerializeToString() for record in scope.log_records]
        self.exports = [*getattr(self, "exports", []), export]
        return Reply(200, "{}" if content_type == "application/json" else b"", {"Content-Type": content_type})


class ClickHouse(LogService):
    """INSERT ... FORMAT JSONEachRow; a block with a token that was seen is taken once."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: set[str] = set()
        self.settings: dict[str, str] = {}

    def take(self, request: HTTPServerRequest) -> Reply:
        self.settings = {
            name: values[0] for name, values in parse_qs(urlsplit(request.uri or "").query).items()
        }
        if not re.fullmatch(r"INSERT INTO \S+ FORMAT JSONEachRow", self.settings.pop("query", "")):
            return Reply(400, "Code: 62. Syntax error", {"X-ClickHouse-Exception-Code": "62"})
        rows = unpacked(request).splitlines()
        for number, row in enumerate(rows):
            try:
                assert isinstance(json.loads(row), dict)
            except (ValueError, AssertionError):
                text = f"Code: 117. Cannot parse row {number}"
                return Reply(400, text, {"X-ClickHouse-Exception-Code": "117"})
        if self.settings["insert_deduplication_token"] not in self.tokens:
            self.tokens.add(self.settings["insert_deduplication_token"])
            self.events += rows
        return Reply(200)


class S3(LogService):
    """A bucket `logs` by path; signatures are looked at by the tests of the signer, and by a real server."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}

    def take(self, request: HTTPServerRequest) -> Reply:
        if not request.path.startswith("/logs/"):
            return Reply(404, "<Error><Code>NoSuchBucket</Code></Error>")
        if not request.headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256 Credential=key/"):
            return Reply(403, "<Error><Code>AccessDenied</Code></Error>")
        if request.path not in self.objects:
            self.events += unpacked(request).split(b"\n")[:-1]
        self.objects[request.path] = unpacked(request)
        return Reply(200)


@asynccontextmanager
async def running(kind: str) -> AsyncIterator[tuple[LogService, dict[str, Any]]]:
    """A service of the kind, and the settings of a sink that leads to it."""
    service = _KINDS[kind]()
    try:
        yield service, settings_for(kind, f"{service.url}/logs" if kind == "s3" else service.url)
    finally:
        await service.close()


def settings_for(kind: str, url: str, **more: Any) -> dict[str, Any]:
    """The settings of a sink of the kind that leads to `url`."""
    return {"type": kind, "url": url, **_OWN.get(kind, {}), **more}


_KINDS: dict[str, type[LogService]] = {
    "loggly": Loggly,
    "splunk": Splunk,
    "elasticsearch": Elasticsearch,
    "loki": Loki,
    "datadog": Datadog,
    "otlp": Otlp,
    "clickhouse": ClickHouse,
    "s3": S3,
}

_OWN: dict[str, dict[str, Any]] = {
    "loggly": {"token": Loggly.token},
    "splunk": {"token": Splunk.token},
    "datadog": {"api_key": Datadog.api_key},
    "clickhouse": {"table": "logs.events"},
    "s3": {"access_key_id": "key", "secret_access_key": "secret"},
}

KINDS = tuple(_KINDS)
