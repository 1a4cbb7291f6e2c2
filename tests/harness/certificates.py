"""A throw-away authority with a server for 127.0.0.1 and a client, as files."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

from nsqgw.config import TlsConfig


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files; `client` holds the key, too."""

    ca: str
    server: str
    server_key: str
    client: str

    @property
    def trusted(self) -> TlsConfig:
        """Settings of a client that trusts the authority."""
        return TlsConfig(ca_file=self.ca)

    @property
    def serving(self) -> ssl.SSLContext:
        """The context of the server."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.server, self.server_key)
        return context


def make_certificates(folder: Path, server_name: str = "nsqd.example") -> Certificates:
    """The server's certificate is for 127.0.0.1 and `server_name`."""
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", server_name)
    client = authority.issue_cert("client.example")
    files = Certificates(
        *(str(folder / name) for name in ("ca.pem", "server.pem", "server.key", "client.pem"))
    )
    authority.cert_pem.write_to_path(files.ca)
    server.cert_chain_pems[0].write_to_path(files.server)
    server.private_key_pem.write_to_path(files.server_key)
    client.private_key_and_cert_chain_pem.write_to_path(files.client)
    return files
