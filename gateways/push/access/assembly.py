"""Makes the gate of a gateway from its settings: keys are read, the JWK set is fetched and kept fresh.

What is wrong with a file shows when it is made, so that a gateway does not start with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateways.push.access.auth_request import AuthRequest
from gateways.push.access.gate import Gate, Signatures
from gateways.push.access.key_set import KeySet
from gateways.push.access.keys import KeySource, TokenKey
from gateways.push.access.proxies import TrustedProxies
from gateways.push.access.security import Security, listens_beyond, secret
from gateways.push.access.signed_url import SecureLinks, SignedUrls
from gateways.push.access.tls import ServerTls
from gateways.push.access.tokens import TokenRules, TokenVerifier
from gateways.push.errands import Errands


class Assembly:
    """The parts for `security` of a gateway that listens on `listen`; ConfigError where one cannot be."""

    def __init__(
        self,
        security: Security,
        listen: str,
        *,
        clock: Callable[[], float] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._security = security
        self._wall = wall
        self._freshening: asyncio.Task[None] | None = None
        self._proxies = TrustedProxies(security.trusted_proxies)
        self._key_set = self._new_key_set(clock)
        self._static = tuple(KeySource.parse(text).load() for text in security.token_keys)
        self.tls = ServerTls(security.tls_cert, security.tls_key) if security.tls_cert else None
        self._backend = (
            AuthRequest(security.auth_request, self._proxies, wall=wall) if security.auth_request else None
        )
        self.gate = Gate(
            verifier=self._new_verifier() if security.tokens else None,
            signatures=self._new_signatures(),
            backend=self._backend,
            anonymous=security.allow_anonymous,
            query_tokens=security.token_in_query,
            demand_origin=listens_beyond(listen),
            proxy_protocol=security.proxy_protocol,
            grace=security.token_grace,
            first_command=security.first_command_timeout,
            limits=security.arrivals,
            proxies=self._proxies,
            wall=wall,
        )

    async def start(self, errands: Errands) -> None:
        """Fetch the keys; ConfigError when they cannot be had. They are kept fresh by an errand."""
        if self._key_set is not None:
            await self._key_set.load()
            self._freshening = errands.run(self._key_set.keep_fresh())

    def reload(self) -> None:
        """Read keys, secrets and certificate anew; ConfigError, with the old in force, where that fails."""
        static = tuple(KeySource.parse(text).load() for text in self._security.token_keys)
        signatures = self._new_signatures()
        if self.tls is not None:
            self.tls.reload()
        self._static, self.gate.signatures = static, signatures

    def close(self) -> None:
        """Close the connections to the backend, and fetch keys no longer."""
        if self._freshening is not None:
            self._freshening.cancel()
        if self._backend is not None:
            self._backend.close()

    def keys(self) -> tuple[TokenKey, ...]:
        """The keys of tokens as they are now."""
        return self._static + (self._key_set.keys() if self._key_set is not None else ())

    def _new_key_set(self, clock: Callable[[], float] | None) -> KeySet | None:
        address = self._security.token_jwks
        return KeySet(address, clock or time.monotonic) if address is not None else None

    def _new_verifier(self) -> TokenVerifier:
        security = self._security
        rules = TokenRules(security.token_audience, security.token_issuer, security.token_max_lifetime)
        renew = self._key_set.renew if self._key_set is not None else None
        return TokenVerifier(self.keys, rules, wall=self._wall, renew=renew)

    def _new_signatures(self) -> tuple[Signatures, ...]:
        security = self._security
        found: list[Signatures] = []
        if security.signed_url_secrets:
            found.append(SignedUrls(tuple(map(secret, security.signed_url_secrets)), wall=self._wall))
        if security.secure_link_md5 is not None:
            expression = secret(security.secure_link_md5).decode("utf-8", "replace")
            found.append(SecureLinks(expression, self._proxies, wall=self._wall))
        return tuple(found)
