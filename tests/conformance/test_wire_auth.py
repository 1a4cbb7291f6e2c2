"""AUTH (nsqd-tcp section 6): what an auth server is asked, what its answer permits, the errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.auth_server import ALL, AuthServer
from harness.certificates import Certificates
from harness.daemons import Daemon
from harness.http import post, stats
from harness.polling import eventually
from harness.wire import ERROR, RESPONSE, Wire

Open = Callable[..., Wire]


@pytest.fixture
def auth() -> Iterator[AuthServer]:
    with AuthServer() as server:
        yield server


@pytest.fixture
def nsqd(auth: AuthServer, start_nsqd: Callable[..., Daemon]) -> Daemon:
    return start_nsqd(auth_http_addresses=(auth.address,))


@pytest.fixture
def connect_to(nsqd: Daemon) -> Iterator[Open]:
    """Opens connections; with `secret` they are authorized."""
    opened: list[Wire] = []

    def make(secret: bytes | None = None) -> Wire:
        wire = Wire(nsqd.tcp_address)
        opened.append(wire)
        if secret is not None:
            assert wire.ask(b"AUTH", secret).type == RESPONSE
        return wire

    yield make
    for wire in opened:
        wire.close()


def entry(topic: str, channels: list[str], *permissions: str) -> dict[str, Any]:
    return {"topic": topic, "channels": channels, "permissions": list(permissions)}


def refused(wire: Wire, command: bytes, body: bytes | None = None) -> str:
    frame = wire.ask(command, body)
    assert frame.type == ERROR, frame
    assert wire.is_closed()
    return frame.data.decode()


def test_identify_says_that_authorization_is_required(connect_to: Open) -> None:
    assert connect_to().negotiate()["auth_required"] is True


@pytest.mark.parametrize(
    ("command", "body"),
    [(b"PUB t", b"x"), (b"DPUB t 0", b"x"), (b"MPUB t", b"\0\0\0\1\0\0\0\1x"), (b"SUB t ch", None)],
)
def test_c_tcp_47_before_auth_nothing_is_permitted(
    connect_to: Open, command: bytes, body: bytes | None
) -> None:
    name = command.split()[0].decode()
    frame = connect_to().ask(command, body)
    assert frame == (ERROR, f"E_AUTH_FIRST AUTH required before {name}".encode())


def test_c_tcp_48_no_authorizations(connect_to: Open, auth: AuthServer) -> None:
    auth.grants["s"] = []
    assert refused(connect_to(), b"AUTH", b"s") == "E_UNAUTHORIZED AUTH no authorizations found"


def test_c_tcp_48_no_auth_server(wire: Wire) -> None:
    assert refused(wire, b"AUTH", b"s") == "E_AUTH_DISABLED AUTH disabled"


def test_c_tcp_49_the_answer_and_what_stats_tell(connect_to: Open, auth: AuthServer, nsqd: Daemon) -> None:
    auth.grants["s"] = [ALL, ALL]
    auth.document = {"identity": "me & you", "identity_url": "http://me.example"}
    wire = connect_to()
    kind, data = wire.ask(b"AUTH", b"s")
    assert (kind, json.loads(data)) == (
        RESPONSE,
        {"identity": "me & you", "identity_url": "http://me.example", "permission_count": 2},
    )
    assert data.startswith(b'{"identity":"me \\u0026 you","identity_url":')
    wire.ok(b"PUB t", b"x")
    (producer,) = stats(nsqd.http_address)["producers"]
    told = {key: producer[key] for key in ("authed", "auth_identity", "auth_identity_url")}
    assert told == {"authed": True, "auth_identity": "me & you", "auth_identity_url": "http://me.example"}
    names = list(producer)
    assert names[names.index("user_agent") + 1 :][:3] == list(told)


def test_stats_of_who_is_not_authorized(connect_to: Open, auth: AuthServer, nsqd: Daemon) -> None:
    auth.grants["s"] = [ALL]
    auth.document = {"identity": "", "identity_url": ""}
    wire = connect_to(b"s")
    wire.ok(b"PUB t", b"x")
    (producer,) = stats(nsqd.http_address)["producers"]
    assert producer["authed"] is True
    assert "auth_identity" not in producer
    assert "auth_identity_url" not in producer


def test_what_the_auth_server_is_asked(connect_to: Open, auth: AuthServer) -> None:
    auth.grants["a b&c=d"] = [ALL]
    connect_to(b"a b&c=d")
    (question,) = auth.questions
    assert question == {"common_name": "", "remote_ip": "127.0.0.1", "secret": "a b&c=d", "tls": "false"}
    assert auth.paths == ["/auth"]
    assert auth.accepts == ["application/vnd.nsq; version=1.0"]


def test_auth_twice(connect_to: Open, auth: AuthServer) -> None:
    auth.grants["s"] = [ALL]
    assert refused(connect_to(b"s"), b"AUTH", b"s") == "E_INVALID AUTH already set"


def test_malformed_auth(connect_to: Open) -> None:
    assert refused(connect_to(), b"AUTH s") == "E_INVALID AUTH invalid number of parameters"
    assert refused(connect_to(), b"AUTH", b"") == "E_BAD_BODY AUTH invalid body size 0"
    wire = connect_to()
    wire.send(b"AUTH\n\x00\x50\x00\x01")
    assert wire.error() == "E_BAD_BODY AUTH body too big 5242881 > 5242880"


@pytest.mark.parametrize(
    "answer",
    [
        {"ttl": 0},
        {"ttl": -1},
        {"ttl": "60"},
        {"authorizations": [entry(".*", [".*"], "subscribe", "admin")]},
        {"authorizations": [entry("(", [".*"], "subscribe")]},
        {"authorizations": [entry(".*", ["["], "subscribe")]},
        {"authorizations": {}},
        {"identity": 5},
        [],
        "nonsense",
        404,
        403,
        500,
        201,
    ],
    ids=str,
)
def test_an_answer_that_makes_no_sense_is_a_failure(connect_to: Open, auth: AuthServer, answer: Any) -> None:
    auth.grants["s"] = [ALL]
    if isinstance(answer, int):
        auth.status = answer
    else:
        auth.document = answer
    assert refused(connect_to(), b"AUTH", b"s") == "E_AUTH_FAILED AUTH failed"


def test_nobody_to_ask(connect_to: Open, auth: AuthServer) -> None:
    auth.stop()
    assert refused(connect_to(), b"AUTH", b"s") == "E_AUTH_FAILED AUTH failed"


def test_an_auth_server_that_does_not_answer(auth: AuthServer, start_nsqd: Callable[..., Daemon]) -> None:
    """Only the client that asked waits: others are served meanwhile, and so is its own heartbeat."""
    auth.delay = 5.0
    daemon = start_nsqd(auth_http_addresses=(auth.address,), http_client_request_timeout=0.6)
    with Wire(daemon.tcp_address) as wire, Wire(daemon.tcp_address) as other:
        wire.send(b"AUTH\n\0\0\0\1s")
        assert other.negotiate()["auth_required"]
        assert wire.error() == "E_AUTH_FAILED AUTH failed"
    auth.release()


def test_of_several_auth_servers_one_is_enough(auth: AuthServer, start_nsqd: Callable[..., Daemon]) -> None:
    auth.grants["s"] = [ALL]
    daemon = start_nsqd(auth_http_addresses=("127.0.0.1:1", auth.address, "127.0.0.1:2"))
    for _ in range(4):  # the one that is asked first is random
        with Wire(daemon.tcp_address) as wire:
            assert wire.ask(b"AUTH", b"s").type == RESPONSE


def test_a_url_is_asked_as_it_stands(auth: AuthServer, start_nsqd: Callable[..., Daemon]) -> None:
    auth.grants["s"] = [ALL]
    daemon = start_nsqd(auth_http_addresses=(f"http://{auth.address}/check/it",))
    with Wire(daemon.tcp_address) as wire:
        assert wire.ask(b"AUTH", b"s").type == RESPONSE
    assert auth.paths == ["/check/it"]


GRANTS = [
    (entry("^t$", ["^ch$"], "subscribe"), b"SUB t ch", ""),
    (entry("^t$", ["^ch$"], "subscribe"), b"SUB t other", 'SUB on "t" "other"'),
    (entry("^t$", ["^ch$"], "subscribe"), b"SUB tt ch", 'SUB on "tt" "ch"'),
    (entry("t", ["c"], "subscribe"), b"SUB my-topic my-channel", ""),
    (entry(".*", [".*"], "publish"), b"SUB t ch", 'SUB on "t" "ch"'),
    (entry(".*", [".*"], "publish"), b"PUB t", ""),
    (entry(".*", [".*"], "subscribe"), b"PUB t", 'PUB on "t" ""'),
    (entry(".*", [".*"], "subscribe"), b"DPUB t 0", 'DPUB on "t" ""'),
    (entry(".*", [".*"], "subscribe"), b"MPUB t", 'MPUB on "t" ""'),
    (entry(".*", [], "publish", "subscribe"), b"PUB t", 'PUB on "t" ""'),
    (entry(".*", ["^ch$"], "publish"), b"PUB t", 'PUB on "t" ""'),
    (entry(".*", ["^x$", "^$"], "publish"), b"PUB t", ""),
    ({"topic": ".*"}, b"PUB t", 'PUB on "t" ""'),
]


@pytest.mark.parametrize(("grant", "command", "told"), GRANTS)
def test_c_tcp_50_what_an_entry_permits(
    connect_to: Open, auth: AuthServer, grant: dict[str, Any], command: bytes, told: str
) -> None:
    """A publish entry without a channel that matches nothing does not permit publishing."""
    auth.grants["s"] = [entry("^nothing$", ["^nothing$"], "publish"), grant]
    wire = connect_to(b"s")
    bodies = {b"PUB": b"x", b"DPUB": b"x", b"MPUB": b"\0\0\0\1\0\0\0\1x"}
    frame = wire.ask(command, bodies.get(command.split()[0]))
    assert frame == (
        (ERROR, f"E_UNAUTHORIZED AUTH failed for {told}".encode()) if told else (RESPONSE, b"OK")
    )


def test_the_time_to_live_is_looked_at_when_a_command_comes(connect_to: Open, auth: AuthServer) -> None:
    """Then the auth server is asked again: what it says counts from there on; a subscription goes on."""
    auth.grants["s"] = [ALL]
    auth.document = {"ttl": 1}
    consumer, producer, late = connect_to(b"s"), connect_to(b"s"), connect_to(b"s")
    consumer.subscribe("t", "ch", rdy=5)
    producer.ok(b"PUB t", b"1")
    consumer.finish(consumer.message().id)
    assert len(auth.questions) == 3

    def asked_again() -> bool:
        producer.ok(b"PUB t", b"2")
        return len(auth.questions) > 3

    eventually(asked_again, what="the auth server is asked again")
    assert consumer.message().body == b"2"
    auth.grants["s"] = [entry(".*", [".*"], "subscribe")]
    before = len(auth.questions)

    def refused_again() -> bytes | None:
        frame = producer.ask(b"PUB t", b"2")
        return None if frame.type == RESPONSE else frame.data

    told = eventually(refused_again, what="the new grant counts")
    assert told == b'E_UNAUTHORIZED AUTH failed for PUB on "t" ""'
    assert len(auth.questions) == before + 1
    auth.stop()
    assert late.ask(b"PUB t", b"x") == (ERROR, b"E_AUTH_FAILED AUTH failed")


def test_commands_behind_auth_wait_for_it(connect_to: Open, auth: AuthServer) -> None:
    auth.grants["s"] = [ALL]
    wire = connect_to()
    wire.send(b"AUTH\n\0\0\0\1sPUB t\n\0\0\0\1xSUB t ch\nRDY 1\nNOP\n")
    assert wire.frame().data.startswith(b'{"identity":')
    assert [wire.frame(), wire.frame()] == [(RESPONSE, b"OK")] * 2
    assert wire.message().body == b"x"


def test_http_is_not_asked_for_authorization(nsqd: Daemon, auth: AuthServer) -> None:
    assert post(nsqd.http_address, "/pub?topic=t", b"x").status == 200
    assert auth.questions == []


@pytest.mark.parametrize("known", [True, False])
def test_an_auth_server_by_https_is_verified(
    start_nsqd: Callable[..., Daemon], certificates: Certificates, known: bool
) -> None:
    """By the authorities of --tls-root-ca-file, else by those of the system."""
    authorities = {"tls_root_ca_file": certificates.ca} if known else {}
    with AuthServer(certificates.serving) as auth:
        auth.grants["s"] = [ALL]
        nsqd = start_nsqd(auth_http_addresses=(f"https://{auth.address}/check",), **authorities)
        with Wire(nsqd.tcp_address) as wire:
            if known:
                assert wire.ask(b"AUTH", b"s").type == RESPONSE
                wire.ok(b"PUB t", b"x")
                assert auth.paths == ["/check"]
            else:
                assert refused(wire, b"AUTH", b"s") == "E_AUTH_FAILED AUTH failed"
                assert auth.questions == []
