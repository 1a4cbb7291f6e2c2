"""logfmt into fields: `level=info msg="two words" at=12ms retried`; values stay text, a bare key is true.

    line  = *SP pair *( 1*SP pair ) *SP
    pair  = key [ "=" ( word / quoted ) ]
    key   = 1*( any character but space, controls, "=" and '"' )
    word  = *( any character but space, controls and '"' )
    quoted = '"' characters and escapes as in JSON '"'

What has no `=` at all is no logfmt. Of a key that comes twice the last one counts.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from gateways.ship.transforms.decoders import Undecodable, decode_text

_SPACE = re.compile(r"[\x00-\x20]*")
_KEY = re.compile(r'[^\x00-\x20="\x7f]+')
_QUOTED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_WORD = re.compile(r'[^\x00-\x20"\x7f]*')


def decode_logfmt(body: bytes) -> dict[str, Any]:
    """The fields of one line. Raises Undecodable, naming the place."""
    text = decode_text(body)
    if "=" not in text:
        raise Undecodable("no logfmt: there is no key=value in it")
    fields: dict[str, Any] = {}
    at = _end(_SPACE, text, 0)
    while at < len(text):
        key = _KEY.match(text, at)
        if key is None:
            raise Undecodable(f"no logfmt: a key should begin at character {at}")
        at = key.end()
        if text.startswith("=", at):
            fields[key[0]], at = _value(text, at + 1)
        else:
            fields[key[0]] = True
        following = _end(_SPACE, text, at)
        if following == at and at < len(text):
            raise Undecodable(f"no logfmt: a space should stand at character {at}")
        at = following
    return fields


def _value(text: str, at: int) -> tuple[str, int]:
    """The value that begins there, and where it ends."""
    if not text.startswith('"', at):
        word = _WORD.match(text, at)
        assert word is not None, "the pattern takes nothing, too"
        return word[0], word.end()
    quoted = _QUOTED.match(text, at)
    if quoted is None:
        raise Undecodable(f"no logfmt: the quotes at character {at} are not closed")
    if "\\" not in quoted[0]:
        return quoted[0][1:-1], quoted.end()
    try:
        value: str = orjson.loads(quoted[0].replace("\n", "\\n").replace("\t", "\\t"))
    except orjson.JSONDecodeError:
        raise Undecodable(f"no logfmt: an escape in the quotes at character {at} is not known") from None
    return value, quoted.end()


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
