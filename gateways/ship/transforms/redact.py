"""`type = "redact"`: what must not leave, by field or by what it looks like, anywhere in the values."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from gateways.service.values import Secret
from gateways.ship.fields import MISSING, FieldPath
from gateways.ship.transforms.edit import Path
from gateways.ship.transforms.patterns import compile_pattern
from gateways.ship.transforms.transform import Record, StepSettings, Transform

NAMED = {
    "card": r"\b\d(?:[ -]?\d){12,18}\b",
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    "ipv4": r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b",
    "bearer": r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]+=*",
}
"""Patterns that have a name; of cards only those are taken whose check digit (Luhn) is right."""

_NEEDED = {"email": "@", "ipv4": "."}  # looking for one character first is five times faster
_HASH_HEX_DIGITS = 16

Hide = Callable[[str], str]


def _check_pattern(text: str) -> str:
    compile_pattern(NAMED.get(text, text))
    return text


class RedactSettings(StepSettings):
    """Replace what `patterns` find, in `fields` or in all values; fields without patterns are replaced whole.

    fields       paths; what stands inside them is looked through, too
    patterns     regular expressions (RE2) or names of NAMED
    replacement  what stands there instead
    hash_key     with it the replacement is followed by a keyed hash: equal values stay recognizable as equal
    """

    type: Literal["redact"] = "redact"
    fields: tuple[Path, ...] = ()
    patterns: tuple[Annotated[str, AfterValidator(_check_pattern)], ...] = ()
    replacement: str = "***"
    hash_key: Secret | None = None

    @model_validator(mode="after")
    def _check(self) -> RedactSettings:
        if not self.fields and not self.patterns:
            raise ValueError("nothing to redact: give fields, patterns or both")
        return self

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        hide = self._hide()
        replace = _replacer(self.patterns, hide) if self.patterns else hide
        if not self.fields:

            def redact_all(record: Record) -> Record:
                record.changed |= _redact_inside(record.fields, replace)
                return record

            return redact_all

        paths = [FieldPath(path) for path in self.fields]

        def redact(record: Record) -> Record:
            for path in paths:
                value = path.get(record.fields)
                if value is MISSING or value is None:
                    continue
                if isinstance(value, dict | list):
                    record.changed |= _redact_inside(value, replace)
                elif (hidden := _redacted(value, replace)) is not value:
                    path.set(record.fields, hidden)
                    record.changed = True
            return record

        return redact

    def _hide(self) -> Hide:
        replacement = self.replacement
        if self.hash_key is None:
            return lambda text: replacement
        key = self.hash_key.get_secret_value().encode()

        def hashed(text: str) -> str:
            digest = hmac.digest(key, text.encode(), "sha256").hex()
            return f"{replacement}{digest[:_HASH_HEX_DIGITS]}"

        return hashed


def _replacer(patterns: tuple[str, ...], hide: Hide) -> Hide:
    compiled = [
        (compile_pattern(NAMED.get(text, text)), _NEEDED.get(text, ""), text == "card") for text in patterns
    ]

    def replace(text: str) -> str:
        for pattern, needed, is_card in compiled:
            if (
                needed in text and pattern.search(text) is not None
            ):  # most texts have nothing to hide, and finding that is cheap
                text = _substituted(pattern, text, is_card, hide)
        return text

    return replace


def _substituted(pattern: Any, text: str, is_card: bool, hide: Hide) -> str:
    def found(match: Any) -> str:
        whole: str = match.group()
        return hide(whole) if whole and not (is_card and not _has_check_digit(whole)) else whole

    substituted: str = pattern.sub(found, text)
    return substituted


def _has_check_digit(text: str) -> bool:
    """Luhn's rule, which the numbers of cards follow."""
    digits = [int(each) for each in text if each.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _redacted(value: Any, replace: Hide) -> Any:
    """The value itself when nothing in it was replaced. Numbers are looked at as text."""
    if isinstance(value, bool) or value is None:
        return value
    text = value if isinstance(value, str) else str(value)
    hidden = replace(text)
    return value if hidden == text else hidden


def _redact_inside(root: dict[str, Any] | list[Any], replace: Hide) -> bool:
    """Redact everything in an object or list, whatever its depth; whether anything was replaced."""
    changed = False
    waiting: list[dict[str, Any] | list[Any]] = [root]
    while waiting:
        container: Any = waiting.pop()
        for key, value in _items(container):
            if isinstance(value, dict | list):
                waiting.append(value)
            elif (hidden := _redacted(value, replace)) is not value:
                container[key] = hidden  # no key comes or goes, so the walk may go on
                changed = True
    return changed


def _items(container: dict[str, Any] | list[Any]) -> Iterator[tuple[Any, Any]]:
    return iter(container.items()) if isinstance(container, dict) else enumerate(container)
