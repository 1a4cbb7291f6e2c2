"""The auth servers of nsqd (nsqd-tcp section 6), asked over HTTP: in turn, until one gives a grant.

Imported when there are any: what it stands on takes nsqd a part of its start.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from compat.nsqd.auth import AuthServerError, Grant, Question, parse_grant
from compat.nsqd.options import NsqdOptions
from nsqgw.config import HttpConfig, TlsConfig
from nsqgw.errors import NSQError
from nsqgw.http.address import HttpAddress, parse_http_address
from nsqgw.http.answer import Answer, json_object
from nsqgw.http.call import Call
from nsqgw.http.exchange import Exchange

_MAX_ANSWER_BYTES = 4 * 1024 * 1024


class AuthServers:
    """All auth servers of one nsqd; raises ConfigError for addresses and files that cannot be used.

    `now` is the broker's clock, which grants end by.
    """

    def __init__(self, options: NsqdOptions, now: Callable[[], float]) -> None:
        self._addresses = [auth_address(each) for each in options.auth_http_addresses]
        self._post = options.auth_http_request_method == "post"
        self._now = now
        config = HttpConfig(
            timeout=options.http_client_request_timeout,
            max_answer_bytes=_MAX_ANSWER_BYTES,
            tls=TlsConfig(ca_file=options.tls_root_ca_file) if options.tls_root_ca_file else None,
        )
        self._exchange = Exchange(config, connect_timeout=options.http_client_connect_timeout)

    async def ask(self, question: Question) -> Grant:
        """The grant of the first server that answers, beginning with a random one; else AuthServerError."""
        count, start = len(self._addresses), random.randrange(len(self._addresses))
        failures = []
        for number in range(count):
            address = self._addresses[(start + number) % count]
            try:
                return await self._ask_one(address, question)
            except NSQError as error:
                failures.append(f"failed to auth against {address} - {error}")
        raise AuthServerError("; ".join(failures))

    async def _ask_one(self, address: HttpAddress, question: Question) -> Grant:
        if self._post:
            call = Call("POST", "", self._read, body=question.encode_json(), headers=_JSON, refused=_refused)
        else:
            # In the address, and not among the parameters: error texts show those, and the secret is one.
            query = "&".join(filter(None, (address.query, question.encode_query())))
            address = replace(address, query=query)
            call = Call("GET", "", self._read, refused=_refused)
        return await self._exchange.call(call, address)

    def _read(self, answer: Answer) -> Grant:
        return parse_grant(json_object(answer), self._now())


_JSON = {"Content-Type": "application/json"}


def auth_address(text: str) -> HttpAddress:
    """Where an auth server is: a URL as it stands, or `host:port`, which means `http://host:port/auth`."""
    complete = text if "://" in text else f"http://{text}/auth"
    address = parse_http_address(complete, "auth server", "127.0.0.1:4181 or https://auth.example/check")
    if complete.partition("?")[0].endswith("/") or not address.path:
        address = replace(address, path=address.path + "/")
    return address


def _refused(answer: Answer) -> Exception | None:
    """Any status but 200 is a failure."""
    return None if answer.status == 200 else AuthServerError(f"got response {answer.status} {answer.excerpt}")
