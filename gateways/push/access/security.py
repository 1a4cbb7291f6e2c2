"""The settings of who may come, as they are written: the table `[security]` and the flags of its names.

Secrets are never values here but places, `file:PATH` or `env:NAME`, so everything can be shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

from gateways.push.access.key_set import check_key_set_address
from gateways.push.access.keys import KeySource, read_source
from gateways.push.access.proxies import TrustedProxies
from gateways.push.access.throttle import ArrivalLimits
from gateways.service.values import PositiveSeconds
from nsqgw.errors import ConfigError
from nsqgw.service.hosts import is_loopback
from nsqgw.service.settings import mask_url, parse_address

NEEDED = "--token-key, --token-jwks, --signed-url-secret, --secure-link-md5 or --auth-request"


@dataclass(frozen=True)
class Security:
    """Wrong values raise ConfigError.

    token_keys          keys of tokens, such as `alg=HS256,file=PATH` (see `KeySource.parse`)
    token_jwks          path or URL of a JWK set with the keys of tokens
    token_audience      that tokens have to name in aud
    token_issuer        that tokens have to name in iss
    token_max_lifetime  the longest time from iat to exp
    token_grace         that a connection lives on after its token expired
    token_in_query      whether `?token=` is a place for tokens
    signed_url_secrets  file:PATH or env:NAME; the present secret, and perhaps the one before
    secure_link_md5     file:PATH or env:NAME with the expression of nginx's secure_link_md5
    auth_request        URL of your backend that is asked about each request
    allow_anonymous     let those in who have none of these
    trusted_proxies     addresses or networks whose X-Forwarded-For or PROXY header is believed
    proxy_protocol      whether the trusted proxies begin connections with a PROXY header
    arrivals            bounds by address and by user
    first_command_timeout  for the token to come in the first frame
    tls_cert, tls_key   PEM files: the port for browsers speaks TLS
    """

    token_keys: tuple[str, ...] = ()
    token_jwks: str | None = None
    token_audience: str | None = None
    token_issuer: str | None = None
    token_max_lifetime: PositiveSeconds = 86_400.0
    token_grace: PositiveSeconds = 25.0
    token_in_query: bool = False
    signed_url_secrets: tuple[str, ...] = ()
    secure_link_md5: str | None = None
    auth_request: str | None = None
    allow_anonymous: bool = False
    trusted_proxies: tuple[str, ...] = ()
    proxy_protocol: bool = False
    arrivals: ArrivalLimits = field(default_factory=ArrivalLimits)
    first_command_timeout: PositiveSeconds = 10.0
    tls_cert: str | None = None
    tls_key: str | None = None

    def __post_init__(self) -> None:
        for text in self.token_keys:
            KeySource.parse(text)
        if self.token_jwks is not None:
            check_key_set_address(self.token_jwks)
        for text in (*self.signed_url_secrets, *filter(None, [self.secure_link_md5])):
            check_source(text)
        if self.auth_request is not None and urlsplit(self.auth_request).scheme not in ("http", "https"):
            raise ConfigError(f"--auth-request {mask_url(self.auth_request)}: give an http or https URL")
        TrustedProxies(self.trusted_proxies)
        if self.proxy_protocol and not self.trusted_proxies:
            raise ConfigError("--proxy-protocol: name the proxies that speak it by --trusted-proxy")
        if self.proxy_protocol and self.tls_cert:
            raise ConfigError("--proxy-protocol and --tls-cert do not go together: let the proxy end TLS")
        if self.tls_key is not None and self.tls_cert is None:
            raise ConfigError("--tls-key needs --tls-cert, the certificate it belongs to")
        if not self.asks and (self.token_audience or self.token_issuer or self.token_in_query):
            raise ConfigError("there are rules for tokens and no key: give --token-key or --token-jwks")

    @property
    def tokens(self) -> bool:
        """Whether tokens are taken."""
        return bool(self.token_keys or self.token_jwks)

    @property
    def asks(self) -> bool:
        """Whether browsers are asked for anything."""
        return bool(self.tokens or self.signed_url_secrets or self.secure_link_md5 or self.auth_request)

    def check_exposure(self, listen: str, allow_origins: tuple[str, ...]) -> None:
        """ConfigError where the gateway would be open to others than this machine and nobody said so."""
        if listens_beyond(listen) and not self.asks and not self.allow_anonymous:
            raise ConfigError(
                f"--listen {listen} can be reached from other machines, and nothing is asked of who comes: "
                f"give {NEEDED}; or --allow-anonymous to stream to everybody"
            )
        if self.auth_request is not None and "*" in allow_origins:
            raise ConfigError(
                "--allow-origin * and --auth-request: any page could use your users' cookies, name some"
            )

    def shown(self) -> dict[str, object]:
        """All settings, for people to read."""
        masked = {} if self.auth_request is None else {"auth_request": mask_url(self.auth_request)}
        if self.token_jwks is not None and "://" in self.token_jwks:
            masked["token_jwks"] = mask_url(self.token_jwks)
        return {**asdict(self), **masked}


def listens_beyond(listen: str) -> bool:
    """Whether other machines may reach `listen`, host:port."""
    if not listen:
        return False  # an application hands connections over, and knows where they come from
    host = parse_address(listen).host
    return not (is_loopback(host) or host == "localhost")


def check_source(text: str) -> str:
    """`text` if it says where a secret is; ConfigError else."""
    kind, colon, name = text.partition(":")
    if not colon or kind not in ("file", "env") or not name:
        raise ConfigError(
            "--signed-url-secret and --secure-link-md5 are given the place of a secret, never the secret: "
            "write file:PATH or env:NAME"
        )
    return text


def secret(text: str) -> bytes:
    """What is at file:PATH or env:NAME; ConfigError where nothing is."""
    kind, _, name = check_source(text).partition(":")
    return read_source(name if kind == "file" else None, name if kind == "env" else None)
