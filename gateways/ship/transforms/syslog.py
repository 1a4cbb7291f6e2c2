"""Syslog lines into fields, RFC 5424 and RFC 3164 told apart by the version after the priority.

Both give facility, severity, timestamp, hostname, appname, procid and message, as far as they stand there;
5424 also msgid and structured_data, as {id: {name: value}}. In 3164 the time has neither year nor zone: the
year is the one that brings it closest to when nsqd took the message, and no zone is added.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from gateways.ship.transforms.decoders import Undecodable, decode_text

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
)  # fmt: skip
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")

_PRIORITY = re.compile(r"<(\d{1,3})>", re.ASCII)
_HEADER_5424 = re.compile(
    r"1 (?P<timestamp>\S{1,64}) (?P<hostname>\S{1,255}) (?P<appname>\S{1,48}) (?P<procid>\S{1,128})"
    r" (?P<msgid>\S{1,32}) ",
    re.ASCII,
)
_TIME_5424 = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII
)  # the RFC allows six digits; senders exist that write nine
_ELEMENT = re.compile(r'\[(?P<id>[^\x00-\x20="\]]{1,32})')
_PARAMETER = re.compile(
    r' (?P<name>[^\x00-\x20="\]]{1,32})="(?P<value>[^"\\\]]*(?:\\.[^"\\\]]*)*)"', re.DOTALL
)
_ESCAPE = re.compile(r'\\(["\\\]])')  # a backslash before anything else stands for itself
_HEADER_3164 = re.compile(
    r"(?P<timestamp>(?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) (?P<clock>\d\d:\d\d:\d\d)) "
    r"(?P<hostname>\S{1,255}) (?:(?P<appname>[^\s:\[\]]{1,64})(?:\[(?P<procid>[^\]\s]{1,128})\])?: ?)?",
    re.ASCII,
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BOM = "\ufeff"


def decode_syslog(body: bytes, received_ns: int) -> dict[str, Any]:
    """The fields of one message; `received_ns` is when nsqd took it. Raises Undecodable."""
    text = decode_text(body).rstrip("\r\n\x00")
    priority = _PRIORITY.match(text)
    if priority is None or int(priority[1]) >= len(FACILITIES) * 8:
        raise Undecodable("no syslog: it does not begin with a priority from <0> to <191>")
    facility, severity = divmod(int(priority[1]), 8)
    fields: dict[str, Any] = {"facility": FACILITIES[facility], "severity": SEVERITIES[severity]}
    rest = priority.end()
    if text.startswith("1 ", rest):
        _read_5424(text, rest, fields)
    else:
        _read_3164(text, rest, fields, received_ns)
    return fields


def _read_5424(text: str, at: int, fields: dict[str, Any]) -> None:
    header = _HEADER_5424.match(text, at)
    if header is None:
        raise Undecodable("no syslog: the header of RFC 5424 is not complete")
    if header["timestamp"] != "-" and not _TIME_5424.fullmatch(header["timestamp"]):
        raise Undecodable("no syslog: the timestamp is not as RFC 5424 has it")
    fields.update({name: value for name, value in header.groupdict().items() if value != "-"})
    elements, at = _structured_data(text, header.end())
    if elements:
        fields["structured_data"] = elements
    if at < len(text) and text[at] != " ":
        raise Undecodable(f"no syslog: a space should follow the structured data, at character {at}")
    fields["message"] = text[at + 1 :].removeprefix(_BOM)


def _structured_data(text: str, at: int) -> tuple[dict[str, dict[str, str]], int]:
    """The elements that begin there, and where they end."""
    if text.startswith("-", at):
        return {}, at + 1
    elements: dict[str, dict[str, str]] = {}
    while (element := _ELEMENT.match(text, at)) is not None:
        at = element.end()
        parameters = elements.setdefault(element["id"], {})
        while (parameter := _PARAMETER.match(text, at)) is not None:
            parameters[parameter["name"]] = _ESCAPE.sub(r"\1", parameter["value"])
            at = parameter.end()
        if not text.startswith("]", at):
            raise Undecodable(f"no syslog: the structured data is broken at character {at}")
        at += 1
    if not elements:
        raise Undecodable(f"no syslog: structured data or - should stand at character {at}")
    return elements, at


def _read_3164(text: str, at: int, fields: dict[str, Any], received_ns: int) -> None:
    header = _HEADER_3164.match(text, at)
    when = _date_3164(header, received_ns) if header is not None else None
    if header is None or when is None:
        raise Undecodable(
            "no syslog: neither the header of RFC 5424 nor that of RFC 3164 follows the priority"
        )
    fields["timestamp"] = when
    for name in ("hostname", "appname", "procid"):
        if header[name] is not None:
            fields[name] = header[name]
    fields["message"] = text[header.end() :]


def _date_3164(header: re.Match[str], received_ns: int) -> str | None:
    """The date with a year; None when there is no such day."""
    if header["month"] not in _MONTHS:
        return None
    received = datetime(1970, 1, 1) + timedelta(microseconds=received_ns // 1000)
    month, day, clock = _MONTHS.index(header["month"]) + 1, int(header["day"]), header["clock"]
    dates = []
    for year in (received.year - 1, received.year, received.year + 1):
        try:
            dates.append(datetime.fromisoformat(f"{year:04d}-{month:02d}-{day:02d}T{clock}"))
        except ValueError:
            continue
    closest = min(dates, key=lambda date: abs(date - received), default=None)
    return None if closest is None else closest.isoformat()
