"""The certificate of the port for browsers, renewed while it is in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateways.push.access.tls import ServerTls
from harness.certificates import make_certificates
from nsqgw.errors import ConfigError


def test_a_certificate_is_renewed_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"

    def put(made) -> None:
        for source, target in ((made.server, chain), (made.server_key, key)):
            target.write_bytes(Path(source).read_bytes())

    put(make_certificates(tmp_path, "old.example"))
    tls = ServerTls(str(chain), str(key))
    before = tls.context
    put(make_certificates(tmp_path, "new.example"))
    tls.reload()
    assert tls.context is not before
    before = tls.context
    key.write_text("nonsense")
    with pytest.raises(ConfigError, match=r"--tls-cert .*chain.pem and its key cannot be used"):
        tls.reload()
    assert tls.context is before
