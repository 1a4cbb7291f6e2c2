"""What `--to` takes, and what it says about the rest."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from gateways.ship.destination import KNOWN, SinkSettings, parse_destination
from gateways.ship.sinks.file import FileSettings
from gateways.ship.sinks.http import HttpSettings
from gateways.ship.sinks.nsq import NsqSettings
from gateways.ship.sinks.postgresql import PostgresqlSettings
from gateways.ship.sinks.redis import RedisSettings
from gateways.ship.sinks.sqlite import SqliteSettings
from gateways.ship.sinks.stdout import StdoutSettings
from gateways.ship.sinks.syslog import SyslogSettings
from nsqgw.errors import ConfigError


def test_the_known_kinds() -> None:
    assert parse_destination("file:out.ndjson") == FileSettings(path="out.ndjson")
    assert parse_destination("file:/var/log/a:b.ndjson") == FileSettings(path="/var/log/a:b.ndjson")
    assert parse_destination("stdout") == StdoutSettings()
    assert parse_destination("http://127.0.0.1:9428/insert") == HttpSettings(
        url=("http://127.0.0.1:9428/insert",)
    )
    assert parse_destination("https://h/x") == HttpSettings(url=("https://h/x",))
    assert parse_destination("sqlite:out.db") == SqliteSettings(path="out.db")
    assert parse_destination("redis://h:1/2") == RedisSettings(url="redis://h:1/2")
    assert parse_destination("nsq://h:1,i:2") == NsqSettings(nsqd_tcp_addresses=("h:1", "i:2"))
    assert parse_destination("syslog://h") == SyslogSettings(address="h")
    encrypted = parse_destination("syslog+tls://h:1")
    assert isinstance(encrypted, SyslogSettings)
    assert encrypted.address == "h:1"
    assert encrypted.tls is not None
    database = parse_destination("postgresql://u@h/d")
    assert isinstance(database, PostgresqlSettings)
    assert database.dsn.get_secret_value() == "postgresql://u@h/d"


@pytest.mark.parametrize("text", ["syslog://", "syslog://h:99999", "nsq://", "nsq://h", "redis:h"])
def test_an_incomplete_address_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="write "):
        parse_destination(text)


@pytest.mark.parametrize("text", ["", "ftp:x", "ftp://host", "out.ndjson", "stdout:", "loggly", "FILE:x"])
def test_an_unknown_kind_lists_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_destination(text)
    assert str(caught.value) == f"destination {text!r} is not known: it must be one of {KNOWN}; " + (
        "others stand in a config file: nsqgw ship config example TYPE"
    )


@pytest.mark.parametrize(
    "text", ["http:", "http://", "https:///", "http://host:0/", "http://a b/", "http://[::1"]
)
def test_an_incomplete_url_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="is no complete URL") as caught:
        parse_destination(text)
    assert repr(text) in str(caught.value)


def test_a_file_needs_a_name() -> None:
    with pytest.raises(ConfigError, match="names no file"):
        parse_destination("file:")


def test_secrets_are_not_shown() -> None:
    assert parse_destination("https://u:secret@h/x?token=t").shown()["url"] == ["https://***@h/***"]
    assert parse_destination("redis://u:secret@h/0").shown()["url"] == "redis://***@h/***"
    assert "secret" not in str(parse_destination("postgresql://u:secret@h/x").shown())
    cluster = NsqSettings(lookupd_http_addresses=("http://u:hush@h:4161/x",))
    assert "hush" not in str(cluster.shown())
    assert "hush" not in cluster.make(1).describe()


@pytest.mark.parametrize("secret", ["hush\nhush", "hush\0", "hush\u20ac"])
@pytest.mark.parametrize(
    ("kind", "key"), [("http", "bearer_token"), ("datadog", "api_key"), ("splunk", "token")]
)
def test_a_secret_that_no_header_may_have_is_refused_and_not_shown(kind: str, key: str, secret: str) -> None:
    document = {"type": kind, "url": "http://h", key: secret}
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(SinkSettings).validate_python(document)
    assert f"{key} has several lines" in str(caught.value)
    assert all("hush" not in error["msg"] for error in caught.value.errors())


@pytest.mark.parametrize("document", [{"type": "file", "path": "a\0b"}, {"type": "sqlite", "path": "a\0b"}])
def test_a_path_has_no_nul(document: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="take out the NUL"):
        TypeAdapter(SinkSettings).validate_python(document)


@pytest.mark.parametrize("rest", ["h:1?password=secret", "u:secret@h:1/0", "u:se/secret@h:1"])
def test_the_name_of_a_sink_is_its_host_and_no_secret(rest: str) -> None:
    assert parse_destination(f"redis://{rest}").make(1).name == "redis h:1"


@pytest.mark.parametrize(
    "text",
    [
        "https://me:secret@/in",
        "https://me:secret@host:port/in",
        "https://me:secret/@host/in",
        "http://host:secret/",
        "https://ho st/services/secret",
        "HTTPS://me:secret@host/in",
        "https//me:secret@host/in",
        "splunk://host/in?secret",
    ],
)
def test_a_mistyped_url_with_a_secret_is_named_without_it(text: str) -> None:
    with pytest.raises(ConfigError, match="destination") as caught:
        parse_destination(text)
    assert "secret" not in str(caught.value)
    assert "***" in str(caught.value)
