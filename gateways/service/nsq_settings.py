"""The table `[nsq]` of a config file: where the messages come from, and how we are let in."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from gateways.access import NsqAccess
from gateways.service.secrets import with_secret_files
from gateways.service.values import LookupdAddress, NsqdAddress, Secret
from nsqgw.config import TlsConfig


class TlsSettings(BaseModel):
    """TLS towards one kind of server; the certificate is verified, unless told otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_file: str | None = Field(default=None, description="trust these certificates in place of the system's")
    cert_file: str | None = Field(default=None, description="our own certificate, for servers that ask")
    key_file: str | None = Field(default=None, description="its key, when that is not in the same file")
    server_name: str | None = Field(default=None, description="the name the server's certificate carries")
    verify: bool = Field(default=True, description="false accepts any certificate")

    def config(self) -> TlsConfig:
        """The same for a connection. Raises ConfigError."""
        return TlsConfig(**self.model_dump())


class NsqSettings(BaseModel):
    """The nsqds and nsqlookupds that messages come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nsqd_tcp_addresses: tuple[NsqdAddress, ...] = Field(default=(), description="nsqds, as host:port")
    lookupd_http_addresses: tuple[LookupdAddress, ...] = Field(
        default=(), description="nsqlookupds, as host:port or URL"
    )
    tls: bool | TlsSettings = Field(default=False, description="true, or a table, to speak TLS with nsqd")
    auth_secret: Secret | None = Field(default=None, description="for nsqds that ask for AUTH")
    lookupd_tls: TlsSettings | None = Field(default=None, description="for https:// addresses of nsqlookupd")
    lookupd_auth_secret: Secret | None = Field(default=None, description="a bearer token for nsqlookupd")

    @model_validator(mode="before")
    @classmethod
    def _secret_files(cls, table: Any) -> Any:
        return with_secret_files(cls, table)

    def access(self) -> NsqAccess:
        """TLS and secrets. Raises ConfigError for files that cannot be used."""
        tls = self.tls.config() if isinstance(self.tls, TlsSettings) else TlsConfig() if self.tls else None
        lookupd_tls = self.lookupd_tls.config() if self.lookupd_tls is not None else None
        access = NsqAccess(tls, _text(self.auth_secret), lookupd_tls, _text(self.lookupd_auth_secret))
        access.check()
        return access


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
