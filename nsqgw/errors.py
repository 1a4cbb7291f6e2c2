"""Everything nsqgw raises, in one tree.

NSQError
├── ConfigError (ValueError)       a setting or an argument is wrong
│   └── InvalidName                a topic or channel name nsqd would refuse
├── ProtocolError                  the peer broke the wire format; the connection is unusable
│   ├── FrameTooBig                a frame announces more bytes than allowed
│   └── NotNSQ                     the peer speaks something else, usually HTTP
├── ServerError                    nsqd answered with an error frame; one class per E_* code
│   └── BadTopic, FinFailed, ...   `fatal` says whether nsqd closes the connection after it
├── ListenFailed (OSError)         a port could not be opened
├── ConnectionFailed (OSError)     no connection could be made
├── ConnectionClosed               the connection is gone; the fate of what was under way is unknown
│   └── Unprocessed                it is known: nsqd did not come to this command
├── DeadlineExceeded (TimeoutError)
├── MessageError
│   └── AlreadyAnswered            finish or requeue was called on an answered message
├── PublishError                   a message was not accepted, and it is certain that it was not
│   ├── MessageTooBig (ValueError) found before sending
│   └── NotConnected               no nsqd could be reached within the deadline
├── DiscoveryError                 nsqlookupd could not be asked
├── HttpError                      nsqd or nsqlookupd refused an HTTP request; `status` and `code` say how
├── BadAnswer                      the answer to an HTTP request makes no sense, or is too large
└── Closed                         the consumer or producer was stopped, the HTTP client closed
"""

from __future__ import annotations


class NSQError(Exception):
    """Root of all errors of this library."""

    published: int = 0
    """Raised by `publish_many`: so many messages, counted from the first, are certainly published."""


class ConfigError(NSQError, ValueError):
    """A setting or argument is wrong; the text names it, its value and the remedy."""


class InvalidName(ConfigError):
    """A topic or channel name that nsqd would refuse."""


class ProtocolError(NSQError):
    """The peer sent bytes that are no NSQ; nothing more can be read from this connection."""


class FrameTooBig(ProtocolError):
    """A frame or command announces a size beyond the limit; it was not read."""


class NotNSQ(ProtocolError):
    """The peer speaks another protocol, usually HTTP: the port is the wrong one."""


class ListenFailed(NSQError, OSError):
    """A listening port could not be opened; the text names the address, the cause and the remedy."""


class ConnectionFailed(NSQError, OSError):
    """No connection could be made; the text names the address and the cause."""


class ConnectionClosed(NSQError):
    """The connection is gone. What was sent and not confirmed may or may not have arrived."""


class Unprocessed(ConnectionClosed):
    """The connection ended before this command was sent, or nsqd refused an earlier one and hung up."""


class DeadlineExceeded(NSQError, TimeoutError):
    """The peer did not answer in time; the fate of what was sent is unknown."""


class MessageError(NSQError):
    """A message cannot be answered the way it was asked for."""


class AlreadyAnswered(MessageError):
    """The message was finished or requeued before; nothing was sent."""


class PublishError(NSQError):
    """The message was not accepted, and it is certain that it was not."""


class MessageTooBig(PublishError, ValueError):
    """The body is larger than nsqd takes; found before sending."""


class NotConnected(PublishError):
    """No nsqd could be reached within the deadline."""


class DiscoveryError(NSQError):
    """nsqlookupd could not be asked, or its answer made no sense."""


class HttpError(NSQError):
    """nsqd or nsqlookupd refused an HTTP request.

    `status` is that of HTTP, `code` the daemon's word, such as TOPIC_NOT_FOUND; empty when it gave none.
    """

    def __init__(self, text: str, status: int, code: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class BadAnswer(NSQError):
    """The answer to an HTTP request makes no sense or is too large; what was asked for may be done."""


class Closed(NSQError):
    """The consumer or producer was stopped, the HTTP client closed."""


class ServerError(NSQError):
    """nsqd answered with an error frame (nsqd-tcp section 9).

    `code` is the E_* word, `description` the text after it, `fatal` says whether nsqd closes the
    connection after sending it. `nsqd_address` says which nsqd it was, where that is known.
    """

    code = "E_UNKNOWN"
    fatal = True
    nsqd_address: str | None = None

    def __init__(self, description: str = "", code: str | None = None) -> None:
        super().__init__(description)
        self.description = description
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        text = f"{self.code} {self.description}".rstrip()
        return text if self.nsqd_address is None else f"{self.nsqd_address}: {text}"

    @property
    def data(self) -> bytes:
        """The data of the error frame: code, one space, description; the code alone without one."""
        text = f"{self.code} {self.description}" if self.description else self.code
        return text.encode("utf-8", "surrogateescape")


class BadProtocol(ServerError):
    """The magic bytes at the start of the connection were wrong."""

    code = "E_BAD_PROTOCOL"


class Invalid(ServerError):
    """Unknown command, wrong state, wrong parameters, RDY or delay out of range, TLS required."""

    code = "E_INVALID"


class BadBody(ServerError):
    """The body of IDENTIFY, AUTH or MPUB is malformed or out of range."""

    code = "E_BAD_BODY"


class BadTopic(ServerError):
    """nsqd refused the topic name."""

    code = "E_BAD_TOPIC"


class BadChannel(ServerError):
    """nsqd refused the channel name."""

    code = "E_BAD_CHANNEL"


class BadMessage(ServerError):
    """The body of a published message is empty, too big or cut short."""

    code = "E_BAD_MESSAGE"


class PubFailed(ServerError):
    """nsqd could not store the message."""

    code = "E_PUB_FAILED"


class MpubFailed(ServerError):
    """nsqd could not store the batch; earlier messages of it may be stored."""

    code = "E_MPUB_FAILED"


class DpubFailed(ServerError):
    """nsqd could not store the deferred message."""

    code = "E_DPUB_FAILED"


class SubFailed(ServerError):
    """The subscription was refused."""

    code = "E_SUB_FAILED"


class IdentifyFailed(ServerError):
    """Feature negotiation or an upgrade of the connection failed."""

    code = "E_IDENTIFY_FAILED"


class AuthDisabled(ServerError):
    """AUTH was sent to an nsqd without an auth server."""

    code = "E_AUTH_DISABLED"


class AuthFailed(ServerError):
    """The auth server could not be asked or refused the secret."""

    code = "E_AUTH_FAILED"


class AuthFirst(ServerError):
    """nsqd wants AUTH before this command."""

    code = "E_AUTH_FIRST"


class AuthError(ServerError):
    """nsqd failed while it checked the authorization."""

    code = "E_AUTH_ERROR"


class Unauthorized(ServerError):
    """The secret does not permit this."""

    code = "E_UNAUTHORIZED"


class FinFailed(ServerError):
    """FIN came too late: the message was requeued or timed out before, and will come again."""

    code = "E_FIN_FAILED"
    fatal = False


class ReqFailed(ServerError):
    """REQ came too late: the message is not in flight on this connection any more."""

    code = "E_REQ_FAILED"
    fatal = False


class TouchFailed(ServerError):
    """TOUCH came too late: the message is not in flight on this connection any more."""

    code = "E_TOUCH_FAILED"
    fatal = False


SERVER_ERRORS: dict[str, type[ServerError]] = {cls.code: cls for cls in ServerError.__subclasses__()}


def server_error(data: bytes) -> ServerError:
    """The exception for an error frame's data; unknown codes give a plain, fatal ServerError."""
    code, _, description = data.decode("utf-8", "backslashreplace").partition(" ")
    known = SERVER_ERRORS.get(code)
    return known(description) if known is not None else ServerError(description, code)
