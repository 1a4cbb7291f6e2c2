"""Access to `nsqgw push` as a user sets it up: what it does not start with, what the admin port can do."""

from __future__ import annotations

import json
import signal
import ssl
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from harness.certificates import make_certificates
from harness.command import Nsqgw, run_nsqgw
from harness.polling import eventually
from harness.tokens import SECRET, token

TOPIC = ("--topic", "events", "--nsqd-tcp-address", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--listen", "0.0.0.0:0"), "--listen 0.0.0.0:0 can be reached from other machines"),
        (("--listen", "[::]:0"), "or --allow-anonymous to stream to everybody"),
        (("--token-key", "alg=none,file=x"), "alg is 'none', and has to be one of HS256"),
        (("--token-key", "alg=HS256,file=/nowhere"), "No such file"),
        (("--signed-url-secret", "hunter2"), "write file:PATH or env:NAME"),
        (("--tls-cert", "/nowhere"), "--tls-cert /nowhere and its key cannot be used: No such file"),
        (("--trusted-proxy", "lb"), "trusted proxy 'lb' is not valid"),
        (("--allow-origin", "https://*.*.example"), "allowed origin 'https://*.*.example' is not valid"),
    ],
)
def test_what_it_does_not_start_with(flags: tuple[str, ...], text: str) -> None:
    answer = run_nsqgw("push", *TOPIC, *flags)
    assert answer.returncode == 2
    assert text in " ".join(answer.stderr.split())
    assert "Traceback" not in answer.stderr
    assert "hunter2" not in answer.stderr


def test_tokens_over_tls_disconnect_and_reload(nsqd, tmp_path: Path) -> None:
    made = make_certificates(tmp_path, "push.example")
    key = tmp_path / "token.key"
    key.write_bytes(SECRET)
    flags = ("--topic", "events", "--nsqd-tcp-address", nsqd.tcp_address, "--listen", "0.0.0.0:0")
    flags += ("--admin-address", "127.0.0.1:0", "--token-key", f"alg=HS256,file={key}")
    flags += ("--tls-cert", made.server, "--tls-key", made.server_key)
    trusting = ssl.create_default_context(cafile=made.ca)
    with Nsqgw(tmp_path, "push", *flags) as push:
        admin = push.wait_for(r"admin port on (http://[^\s\"]+)")
        port = push.wait_for(r"streaming events on https://[^\s\"]+:(\d+)")
        url = f"wss://127.0.0.1:{port}/stream/events"

        def opened(secret: bytes):
            bearer = {"Authorization": f"Bearer {token(secret, now=time.time(), sub='ada')}"}
            return connect(url, ssl=trusting, proxy=None, additional_headers=bearer)

        def post(query: str, **headers: str) -> dict:
            request = Request(f"{admin}/disconnect{query}", method="POST", headers=headers)
            return json.load(urlopen(request))

        with opened(SECRET) as websocket:
            for query, headers, code in (
                ("", {}, "400"),
                ("?user=ada", {"Origin": "https://evil.example"}, "403"),
                ("?user=ada", {"Host": "evil.example"}, "421"),
            ):
                with pytest.raises(HTTPError, match=code):
                    post(query, **headers)
            assert post("?user=eve") == {"disconnected": 0}
            assert post("?user=ada") == {"disconnected": 1}
            with pytest.raises(ConnectionClosed) as closed:
                websocket.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4503

        new = b"another secret of thirty-two bytes or more"
        key.write_bytes(new)
        push.send(signal.SIGHUP)
        push.wait_for(r"nsqgw push reloaded")
        with opened(new) as websocket:
            websocket.ping()
        with pytest.raises(InvalidStatus, match="401"), opened(SECRET):
            pass
        shown = json.load(urlopen(f"{admin}/config"))
        assert SECRET.decode() not in str(shown)
        push.send(signal.SIGTERM)
        assert push.wait() == 0
        eventually(lambda: "stopped" in push.log)
        assert "Traceback" not in push.log
        assert "ey" + "J" not in push.log  # what every token begins with
