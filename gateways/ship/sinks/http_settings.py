"""What is set alike for every sink over HTTP."""

from __future__ import annotations

import base64

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from gateways.service.values import Seconds, Secret
from gateways.ship.sinks.compression import Compression
from gateways.ship.sinks.endpoints import Balance
from gateways.ship.sinks.oauth2 import OAuth2Settings
from gateways.ship.sinks.settings import SinkSettings, Urls
from nsqgw.config import TlsConfig
from nsqgw.errors import ConfigError


def fits_header(value: str) -> bool:
    """Whether a header may have this value (RFC 9110, 5.5)."""
    try:
        return not set(value.encode("latin-1")).intersection(b"\r\n\0")
    except UnicodeEncodeError:
        return False


class TlsSettings(BaseModel):
    """How to speak TLS with a sink, as in `nsqgw.config.TlsConfig`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_file: str | None = Field(default=None, description="authorities to trust (PEM), not the system's")
    cert_file: str | None = Field(default=None, description="our own certificate, for hosts that ask")
    key_file: str | None = Field(default=None, description="its key, when it is not in the same file")
    server_name: str | None = Field(default=None, description="the name the certificate must carry")
    verify: bool = Field(default=True, description="false accepts any certificate: anybody may read along")

    @model_validator(mode="after")
    def _check(self) -> TlsSettings:
        try:
            self.config()
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    def config(self) -> TlsConfig:
        """For the client."""
        return TlsConfig(self.ca_file, self.cert_file, self.key_file, self.server_name, self.verify)


class HttpSinkSettings(SinkSettings):
    """What is set alike for every sink over HTTP; user and password may stand in the URL, too."""

    url: Urls = Field(description="one URL, or a list of hosts that are used in turn")
    balance: Balance = Field(
        default="round_robin",
        description="which of several hosts is next, one that fails rests for a while; all: each gets all",
    )
    username: str | None = Field(default=None, description="for Basic authentication")
    password: Secret | None = Field(default=None, description="for Basic authentication")
    bearer_token: Secret | None = Field(default=None, description="sent as `Authorization: Bearer ...`")
    oauth2: OAuth2Settings | None = Field(default=None, description="for a token by client credentials")
    headers: dict[str, Secret] = Field(default={}, description="further headers of each request")
    compression: Compression = Field(default="none", description="of request bodies")
    compression_level: int | None = Field(
        default=None, ge=0, le=22, description="the format's own levels; by default a fast one"
    )
    connect_timeout: Seconds = Field(default=5.0, gt=0, le=120, description="for TCP and TLS")
    request_timeout: Seconds = Field(default=20.0, gt=0, le=120, description="for a request and its answer")
    ok_status: tuple[int, ...] = Field(default=(), description="statuses that confirm, beside 2xx")
    retry_status: tuple[int, ...] = Field(default=(), description="further statuses to try again after")
    reject_status: tuple[int, ...] = Field(default=(), description="further statuses that refuse the data")
    tls: TlsSettings = Field(default_factory=TlsSettings, description="for https")

    @model_validator(mode="after")
    def _check_headers(self) -> HttpSinkSettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together: give both or none")
        if self.username is not None and self.bearer_token is not None:
            raise ValueError("username and bearer_token exclude each other: give one of them")
        if self.oauth2 is not None and (self.username or self.bearer_token):
            raise ValueError("oauth2 excludes username and bearer_token: give one of them")
        for name, value in self.headers.items():
            if not name.isascii() or not fits_header(name + value.get_secret_value()):
                raise ValueError(f"header {name!r} contains what no header may: line ends, or a NUL")
        secrets = {name: each.get_secret_value() for name, each in self if isinstance(each, SecretStr)}
        secrets.pop("password", None)  # which goes in base64
        for name, secret in secrets.items():
            if not fits_header(secret):
                raise ValueError(f"{name} has several lines, a NUL, or letters that no header may have")
        return self

    def authorization(self) -> str | None:
        """The Authorization header these settings make."""
        if self.bearer_token is not None:
            return f"Bearer {self.bearer_token.get_secret_value()}"
        if self.username is None or self.password is None:
            return None
        secret = f"{self.username}:{self.password.get_secret_value()}"
        return "Basic " + base64.b64encode(secret.encode()).decode("ascii")
