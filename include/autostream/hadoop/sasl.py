"""SASL GSSAPI (RFC 4752) for Thrift, with tickets of any credential cache, those in memory included."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from thrift.protocol.TProtocol import TProtocolException
from thrift.transport.TTransport import TSaslClientTransport

from autostream.hadoop.thrift_answers import refuse_other_protocols

if TYPE_CHECKING:
    from spnego import ContextProxy

_NONE, _INTEGRITY, _PRIVACY = 1, 2, 4
_MAX_FRAME: Final = 0xFFFFFF


class GssapiClient:
    """The client's side, in the form in which Thrift's SASL transport asks for it.

    Attributes:
        mechanism: the mechanism's name.
        complete: whether both sides are agreed.
    """

    mechanism = "GSSAPI"

    def __init__(self, context: ContextProxy) -> None:
        """Take a context that has not begun."""
        self._context = context
        self._layer = _NONE
        self.complete = False

    def process(self, challenge: bytes | None = None) -> bytes:
        """Return the answer to a challenge of the server; to none, the first message."""
        if not self._context.complete:
            return self._context.step(challenge or None) or b""
        offered = self._context.unwrap(challenge or b"").data
        self._layer = next(layer for layer in (_NONE, _INTEGRITY, _PRIVACY) if offered[0] & layer)
        self.complete = True
        # No name of another account follows: the ticket's is meant.
        agreed = bytes([self._layer]) + (_MAX_FRAME if self._layer != _NONE else 0).to_bytes(3, "big")
        return self._context.wrap(agreed, encrypt=False).data

    def dispose(self) -> None:
        """Forget nothing: the context goes with this object."""

    def wrap(self, data: bytes) -> bytes:
        """Return data as it goes over the wire."""
        return data if self._layer == _NONE else self._context.wrap(data, encrypt=self._layer == _PRIVACY).data

    def unwrap(self, data: bytes) -> bytes:
        """Return data as it was before it went over the wire."""
        return data if self._layer == _NONE else self._context.unwrap(data).data


class SaslTransport(TSaslClientTransport):  # type: ignore[misc]
    """Thrift over SASL, which does not wait for gigabytes where another protocol answers."""

    def recv_sasl_msg(self) -> tuple[int, bytes]:
        """Read a message of the negotiation.

        Raises:
            TProtocolException: it is no such message.
        """
        head = self.transport.readAll(5)
        refuse_other_protocols(head[:4])
        status, length = struct.unpack(">BI", head)
        if length > _MAX_FRAME:
            raise TProtocolException(TProtocolException.BAD_VERSION, "it does not speak Thrift with SASL")
        return status, self.transport.readAll(length) if length else b""


class GssapiTransport(SaslTransport):
    """Thrift over SASL GSSAPI with a context of ours."""

    def __init__(self, transport: Any, context: ContextProxy) -> None:
        """Wrap a transport; the context's service and host name the server's principal."""
        # The parent needs a mechanism that it can make by itself; it is replaced before anything is sent.
        super().__init__(transport, host="", service="", mechanism="ANONYMOUS")
        self.sasl = GssapiClient(context)
