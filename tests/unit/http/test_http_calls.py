"""What the calls send, and what a conversation makes of the answers; nothing is sent here."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

import pytest

from nsqgw.errors import BadAnswer, ConfigError, HttpError, InvalidName
from nsqgw.http import lookupd_calls, nsqd_calls
from nsqgw.http.address import parse_http_address
from nsqgw.http.answer import Answer
from nsqgw.http.call import Call, Request, conversation
from nsqgw.http.clients import LookupdHttp, LookupdHttpAsync, NsqdHttp, NsqdHttpAsync

V1 = {"X-NSQ-Content-Type": "nsq; version=1.0", "Content-Type": "application/json; charset=utf-8"}


def answer(status: int = 200, body: bytes | object = b"", headers: Mapping[str, str] = V1) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, headers, data, "nsqd: GET /x")


def first_request(call: Call[Any], address: str = "127.0.0.1:4151", secret: str | None = None) -> Request:
    return next(conversation(call, parse_http_address(address, "nsqd", ""), secret))


def outcome(call: Call[Any], *answers: Answer, address: str = "127.0.0.1:4151") -> Any:
    """The result after these answers."""
    talk = conversation(call, parse_http_address(address, "nsqd", ""))
    next(talk)
    try:
        for given in answers:
            talk.send(given)
    except StopIteration as end:
        return end.value
    raise AssertionError("it asks for more")


@pytest.mark.parametrize(
    ("call", "method", "target", "body"),
    [
        (nsqd_calls.ping(), "GET", "/ping", None),
        (nsqd_calls.stats(), "GET", "/stats?format=json", None),
        (
            nsqd_calls.stats("t", "c#ephemeral", include_clients=False, include_mem=False),
            "GET",
            "/stats?format=json&topic=t&channel=c%23ephemeral&include_clients=false&include_mem=false",
            None,
        ),
        (nsqd_calls.stats_text(), "GET", "/stats?format=text", None),
        (nsqd_calls.publish("t", b"x"), "POST", "/pub?topic=t", b"x"),
        (nsqd_calls.publish("t", bytearray(b"x"), delay=1.5), "POST", "/pub?topic=t&defer=1500", b"x"),
        (
            nsqd_calls.publish_many("t", [b"a", b"bc"]),
            "POST",
            "/mpub?topic=t&binary=true",
            b"\0\0\0\2\0\0\0\1a\0\0\0\2bc",
        ),
        (nsqd_calls.empty_channel("t", "c"), "POST", "/channel/empty?topic=t&channel=c", None),
        (nsqd_calls.get_option("a/b c"), "GET", "/config/a%2Fb%20c", None),
        (nsqd_calls.set_option("log_level", "debug"), "PUT", "/config/log_level", b"debug"),
        (nsqd_calls.set_option("x", ("a:1",)), "PUT", "/config/x", b'["a:1"]'),
        (nsqd_calls.pprof("profile", seconds=2), "GET", "/debug/pprof/profile?seconds=2", None),
        (lookupd_calls.tombstone("t", "h:1"), "POST", "/topic/tombstone?topic=t&node=h%3A1", None),
    ],
)
def test_what_is_sent(call: Call[Any], method: str, target: str, body: bytes | None) -> None:
    request = first_request(call)
    assert (request.method, request.target, request.body) == (method, target, body)
    assert request.headers["Accept"] == "application/vnd.nsq; version=1.0"
    assert request.what == f"127.0.0.1:4151: {method} {target}"


def test_path_and_parameters_of_the_address_come_first() -> None:
    request = first_request(nsqd_calls.create_topic("t"), "https://proxy/nsq/?token=s")
    assert request.url == "https://proxy/nsq/topic/create?token=s&topic=t"


def test_secrets_are_sent_and_not_shown() -> None:
    by_url = first_request(nsqd_calls.ping(), "user:password@host:1")
    assert by_url.headers["Authorization"] == "Basic dXNlcjpwYXNzd29yZA=="
    assert "password" not in by_url.url
    by_secret = first_request(nsqd_calls.ping(), "user:password@host:1", "s3cret")
    assert by_secret.headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(by_secret)
    assert "Authorization" not in first_request(nsqd_calls.ping()).headers


@pytest.mark.parametrize("secret", ["", "a\r\nX: y", "ü"])
def test_secrets_that_cannot_be_sent(secret: str) -> None:
    with pytest.raises(ConfigError, match="auth_secret"):
        NsqdHttp("h:1", auth_secret=secret)


@pytest.mark.parametrize("port", [4152, 1])
def test_tls_required_is_asked_again_by_https_once(port: int) -> None:
    call = nsqd_calls.publish("t", b"x")
    refusal = answer(403, b'{"message": "TLS_REQUIRED", "https_port": %d}' % port)
    talk = conversation(call, parse_http_address("u:p@[::1]:4151", "nsqd", ""))
    first = next(talk)
    second = talk.send(refusal)
    assert second.url == f"https://[::1]:{port}/pub?topic=t"
    assert (second.headers, second.body) == (first.headers, first.body)
    with pytest.raises(HttpError) as raised:
        talk.send(refusal)
    assert (raised.value.status, raised.value.code) == (403, "TLS_REQUIRED")


@pytest.mark.parametrize("port", [None, 0, -1, "4152", 70000, True])
def test_tls_required_without_a_port_is_a_refusal(port: Any) -> None:
    with pytest.raises(HttpError, match="TLS_REQUIRED"):
        outcome(nsqd_calls.ping(), answer(403, {"message": "TLS_REQUIRED", "https_port": port}))


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        (answer(404, {"message": "TOPIC_NOT_FOUND"}), "TOPIC_NOT_FOUND", "404 TOPIC_NOT_FOUND"),
        (
            answer(500, {"status_code": 500, "status_txt": "MISSING_ARG_TOPIC", "data": None}, {}),
            "MISSING_ARG_TOPIC",
            "500 MISSING_ARG_TOPIC",
        ),
        (answer(500, b"NOK - disk full"), "", "500 'NOK - disk full'"),
        (answer(502, b"<html>\n" * 1000), "", "502 '<html>\\n<html>"),
        (answer(400), "", "400 without a reason"),
        (answer(400, {"message": "a\nb"}), "", "400 '{"),
        (answer(400, [1]), "", "400 '[1]'"),
        (
            answer(301, b"", {"Location": "https://u:secret@elsewhere/"}),
            "",
            "301 redirects to 'https://elsewhere/', which is not followed",
        ),
    ],
)
def test_refusals(given: Answer, code: str, text: str) -> None:
    with pytest.raises(HttpError) as raised:
        outcome(nsqd_calls.ping(), given)
    error = raised.value
    assert (error.status, error.code) == (given.status, code)
    assert str(error).startswith(f"nsqd: GET /x: {text}")
    assert len(str(error)) < 300
    assert "\n" not in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000, [], {}, {"version": 5}, None])
def test_nonsense(body: Any) -> None:
    with pytest.raises(BadAnswer) as raised:
        outcome(nsqd_calls.info(), answer(200, body))
    assert str(raised.value).startswith("nsqd: GET /x: answered 200 ")
    assert len(str(raised.value)) < 300


def test_answers_of_old_versions_are_unwrapped() -> None:
    wrapped = {"status_code": 200, "status_txt": "OK", "data": {"topics": ["a"]}}
    assert outcome(lookupd_calls.topics(), answer(200, wrapped, {})) == ("a",)
    assert outcome(lookupd_calls.topics(), answer(200, {"topics": ["a"]}, {})) == ("a",)


def test_settings_are_text_or_json() -> None:
    call = nsqd_calls.get_option("x")
    assert outcome(call, answer(200, b"5", {"Content-Type": "text/plain; charset=utf-8"})) == "5"
    assert outcome(call, answer(200, b"5")) == 5
    assert outcome(call, answer(200, b'["a:1"]')) == ["a:1"]


@pytest.mark.parametrize("call", [nsqd_calls.free_memory(), nsqd_calls.set_block_rate(0)])
def test_nsqd_stumbles_after_it_has_acted(call: Call[None]) -> None:
    outcome(call, answer(500, {"message": "INTERNAL_ERROR"}))
    outcome(call, answer(200))
    with pytest.raises(HttpError):
        outcome(call, answer(400, b"invalid block rate"))


@pytest.mark.parametrize("name", ["", "a b", "*", "x" * 65, None, b"t"])
def test_names_are_checked_before_anything_is_sent(name: Any) -> None:
    for module in (nsqd_calls, lookupd_calls):
        for call in (module.delete_topic, lambda topic, module=module: module.delete_channel(topic, "c")):
            with pytest.raises(InvalidName):
                call(name)
        with pytest.raises(InvalidName):
            module.create_channel("t", name)


def test_bodies_are_checked_before_anything_is_sent() -> None:
    text: Any = "text"
    for wrong in (lambda: nsqd_calls.publish("t", text), lambda: nsqd_calls.publish_many("t", [text])):
        with pytest.raises(TypeError, match="encode it"):
            wrong()
    with pytest.raises(TypeError, match="list of bytes"):
        nsqd_calls.publish_many("t", text)
    with pytest.raises(ConfigError, match="empty"):
        nsqd_calls.publish_many("t", [])
    with pytest.raises(ConfigError, match="delay"):
        nsqd_calls.publish("t", b"x", delay=-1)


@pytest.mark.parametrize(
    ("module", "clients"),
    [(nsqd_calls, (NsqdHttp, NsqdHttpAsync)), (lookupd_calls, (LookupdHttp, LookupdHttpAsync))],
)
def test_both_clients_have_every_call_as_it_is_described(module: Any, clients: tuple[type, ...]) -> None:
    calls = {
        name: function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__annotations__.get("return", "").startswith("Call[") and not name.startswith("_")
    }
    assert len(calls) > 10
    for client in clients:
        own = {name for name in vars(client) if not name.startswith("_")}
        assert own == calls.keys()
        for name, function in calls.items():
            method = getattr(client, name)
            assert method.__doc__ == function.__doc__
            described = list(inspect.signature(function).parameters.values())
            assert list(inspect.signature(method).parameters.values())[1:] == described


@pytest.mark.parametrize("address", ["h:4161", "h:4161/lookup", "http://h:4161/lookup/"])
def test_a_lookupd_client_takes_what_consumers_take(address: str) -> None:
    assert LookupdHttpAsync(address).address.path == ""


def test_wrong_options_are_told() -> None:
    with pytest.raises(ConfigError, match="timeout"):
        NsqdHttpAsync("h:1", timeout=-1)
    with pytest.raises(ConfigError, match="did you mean timeout"):
        NsqdHttpAsync("h:1", timout=1)
