"""The exception tree, and the error codes of nsqd (nsqd-tcp section 9)."""

from __future__ import annotations

import inspect
import re

import pytest

from nsqgw import errors
from nsqgw.errors import NSQError, ServerError, server_error

FATAL = {
    "E_BAD_PROTOCOL": errors.BadProtocol,
    "E_INVALID": errors.Invalid,
    "E_BAD_BODY": errors.BadBody,
    "E_BAD_TOPIC": errors.BadTopic,
    "E_BAD_CHANNEL": errors.BadChannel,
    "E_BAD_MESSAGE": errors.BadMessage,
    "E_PUB_FAILED": errors.PubFailed,
    "E_MPUB_FAILED": errors.MpubFailed,
    "E_DPUB_FAILED": errors.DpubFailed,
    "E_SUB_FAILED": errors.SubFailed,
    "E_IDENTIFY_FAILED": errors.IdentifyFailed,
    "E_AUTH_DISABLED": errors.AuthDisabled,
    "E_AUTH_FAILED": errors.AuthFailed,
    "E_AUTH_FIRST": errors.AuthFirst,
    "E_AUTH_ERROR": errors.AuthError,
    "E_UNAUTHORIZED": errors.Unauthorized,
}
LATE = {
    "E_FIN_FAILED": errors.FinFailed,
    "E_REQ_FAILED": errors.ReqFailed,
    "E_TOUCH_FAILED": errors.TouchFailed,
}


@pytest.mark.parametrize(("code", "kind"), [*FATAL.items(), *LATE.items()])
def test_every_code_has_its_class(code: str, kind: type[ServerError]) -> None:
    error = server_error(f"{code} some text: with words".encode())
    assert type(error) is kind
    assert (error.code, error.description) == (code, "some text: with words")
    assert str(error) == f"{code} some text: with words"
    assert error.data == f"{code} some text: with words".encode()
    assert error.fatal is (code in FATAL)


def test_no_class_is_left_out() -> None:
    assert errors.SERVER_ERRORS == FATAL | LATE


def test_a_code_alone() -> None:
    error = server_error(b"E_BAD_PROTOCOL")
    assert isinstance(error, errors.BadProtocol)
    assert (str(error), error.data) == ("E_BAD_PROTOCOL", b"E_BAD_PROTOCOL")


@pytest.mark.parametrize("data", [b"E_NEW_THING what is this", b"", b" ", b"nonsense"])
def test_unknown_codes_are_fatal(data: bytes) -> None:
    error = server_error(data)
    assert type(error) is ServerError
    assert error.fatal
    assert error.code == data.decode().partition(" ")[0]


def test_the_doubled_code_of_mpub() -> None:
    error = server_error(b'E_BAD_TOPIC E_BAD_TOPIC MPUB topic name "" is not valid')
    assert isinstance(error, errors.BadTopic)
    assert error.description.startswith("E_BAD_TOPIC MPUB")


def test_text_that_is_no_utf8_is_shown_escaped() -> None:
    assert str(server_error(b"E_INVALID \xff\xfe")) == "E_INVALID \\xff\\xfe"


def test_the_builtin_bases_let_usual_except_clauses_work() -> None:
    assert issubclass(errors.ConfigError, ValueError)
    assert issubclass(errors.MessageTooBig, ValueError)
    assert issubclass(errors.ConnectionFailed, OSError)
    assert issubclass(errors.DeadlineExceeded, TimeoutError)


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    real = {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, NSQError) and not issubclass(kind, ServerError)
    }
    assert real - {"NSQError"} == drawn - {"ServerError", "BadTopic"}
