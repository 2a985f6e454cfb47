"""What comes back from a Thrift server, or from what was taken for one: whether it can be asked again, and why not."""

from __future__ import annotations

import struct
from typing import Any, Final

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TProtocol import TProtocolException
from thrift.transport.TTransport import TTransportException

from autostream.errors import ServiceError

BROKEN: Final = (TTransportException, TProtocolException, OSError, EOFError)
"""What ends a connection; whether the server did what it was asked to is not known after one of these."""

_REPEATABLE: Final = frozenset(
    {"show_locks", "check_lock", "heartbeat", "set_ugi", "compares_and_swaps", "has_catalogs"}
)


class MetastoreAnswerLostError(ServiceError):
    """A request got no answer: it may or may not have been carried out, and twice is not once."""


def is_repeatable(call: str) -> bool:
    """Say whether a call of a metastore can be made twice without harm."""
    return call.startswith("get_") or call in _REPEATABLE


class ThriftProtocol(TBinaryProtocol):  # type: ignore[misc]
    """Thrift's binary protocol, which does not wait for gigabytes where another protocol answers."""

    def __init__(self, transport: Any) -> None:
        super().__init__(transport, strictRead=True, strictWrite=True)

    def readMessageBegin(self) -> tuple[str, int, int]:
        """Read the head of an answer.

        Raises:
            TProtocolException: it is none of Thrift's.
        """
        head = self.trans.readAll(4)
        refuse_other_protocols(head)
        (version,) = struct.unpack("!i", head)
        if version & self.VERSION_MASK != self.VERSION_1:
            raise TProtocolException(TProtocolException.BAD_VERSION, "it does not speak Thrift")
        return self.readString(), version & self.TYPE_MASK, self.readI32()


def refuse_other_protocols(head: bytes) -> None:
    """Look at the first four bytes of an answer.

    Raises:
        TProtocolException: a web server, or a port for TLS, begins like that.
    """
    if head == b"HTTP":
        raise TProtocolException(
            TProtocolException.BAD_VERSION, ("it answers with HTTP: this is the port of a web server")
        )
    if head[:2] in (b"\x15\x03", b"\x16\x03"):  # an alert, or a handshake
        raise TProtocolException(
            TProtocolException.BAD_VERSION, "it speaks TLS: this port needs an encrypted connection"
        )


def thrift_reason(error: BaseException) -> str:
    """Say in a few words why there was no answer."""
    if isinstance(error, TTransportException):
        inner = getattr(error, "inner", None)
        if error.type == TTransportException.TIMED_OUT:
            return "it accepted the connection, but gave no answer in time"
        if error.type == TTransportException.END_OF_FILE:
            return "it closed the connection without an answer (a port for TLS or for Kerberos also does that)"
        if isinstance(inner, OSError):
            return inner.strerror or str(inner) or type(inner).__name__
    return str(error) or type(error).__name__
