"""How our nsqd asks auth servers: by POST, as newer ones of the original do, and by certificate."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from harness.auth_server import ALL, AuthServer
from harness.certificates import Certificates, make_certificates
from harness.embedded import EmbeddedNsqd
from harness.encrypted import Layered
from harness.wire import RESPONSE, Wire


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


def test_by_post_every_value_is_a_list() -> None:
    with AuthServer() as auth:
        auth.grants["s"] = [ALL]
        options = {"auth_http_addresses": (auth.address,), "auth_http_request_method": "post"}
        with EmbeddedNsqd(**options) as nsqd, Wire(nsqd.tcp_address) as wire:
            assert wire.ask(b"AUTH", b"s").type == RESPONSE
            wire.ok(b"PUB t", b"x")
        assert auth.posted == [
            {"common_name": [""], "remote_ip": ["127.0.0.1"], "secret": ["s"], "tls": ["false"]}
        ]


@pytest.mark.parametrize("policy", ["require", "require-verify"])
def test_the_name_in_the_clients_certificate_is_told(
    certificates: Certificates, tmp_path: Path, policy: str
) -> None:
    authority, own = trustme.CA(), str(tmp_path / "own.pem")
    issued = authority.issue_cert("client.example", common_name="the client")
    issued.private_key_and_cert_chain_pem.write_to_path(own)
    authority.cert_pem.write_to_path(str(tmp_path / "clients.pem"))
    context = ssl.create_default_context(cafile=certificates.ca)
    context.load_cert_chain(own)
    with AuthServer() as auth:
        auth.grants["s"] = [ALL]
        options = {
            "auth_http_addresses": (auth.address,),
            "tls_cert": certificates.server,
            "tls_key": certificates.server_key,
            "tls_client_auth_policy": policy,
            "tls_root_ca_file": str(tmp_path / "clients.pem"),
        }
        with EmbeddedNsqd(**options) as nsqd, Wire(nsqd.tcp_address) as wire:
            wire.negotiate(tls_v1=True)
            stream = Layered(wire, context)
            assert stream.frame() == (RESPONSE, b"OK")
            assert stream.ask(b"AUTH", b"s")[0] == RESPONSE
        assert [(each["common_name"], each["tls"]) for each in auth.questions] == [("the client", "true")]
