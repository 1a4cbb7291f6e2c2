"""Secrets of Vault's key-value store, version 2, over its HTTP API: GET /v1/MOUNT/data/PATH."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import requests

from nsqgw.errors import ConfigError

_TOLD = 200


def read_vault(
    base: str, keys: Iterable[str], headers: Mapping[str, str], *, verify: str | bool, timeout: float
) -> dict[str, str]:
    """The secrets named PATH:FIELD; each path is asked for once. Raises ConfigError."""
    documents: dict[str, dict[str, Any]] = {}
    found: dict[str, str] = {}
    for key in keys:
        path, colon, field = key.rpartition(":")
        if not colon or not path or not field:
            raise ConfigError(f"secret {key!r} is no PATH:FIELD: write one such as apps/loggly:token")
        if path not in documents:
            documents[path] = _document(f"{base}/{quote(path)}", headers, verify, timeout)
        value = documents[path].get(field)
        if not isinstance(value, str) or not value:
            raise ConfigError(f"vault has no text in field {field} of {path}")
        found[key] = value
    return found


def _document(url: str, headers: Mapping[str, str], verify: str | bool, timeout: float) -> dict[str, Any]:
    try:
        answer = requests.get(
            url, headers=dict(headers), verify=verify, timeout=timeout, allow_redirects=False
        )
    except (requests.RequestException, OSError) as error:
        raise ConfigError(f"vault does not answer at {url}: {type(error).__name__}") from None
    if answer.status_code != requests.codes.ok:
        raise ConfigError(f"vault answers {url} with {answer.status_code}: {_errors(answer)}")
    try:
        document = answer.json()["data"]["data"]
    except (ValueError, KeyError, TypeError):
        document = None
    if not isinstance(document, dict):
        raise ConfigError(f"vault's answer for {url} is none of a key-value store of version 2")
    return document


def _errors(answer: requests.Response) -> str:
    """What it says itself, in one line."""
    try:
        told = "; ".join(map(str, answer.json()["errors"]))
    except (ValueError, KeyError, TypeError):
        told = ""
    return (" ".join(told.split()) or answer.reason or "no reason given")[:_TOLD]
