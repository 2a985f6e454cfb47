"""A Hive Metastore as it was recorded: a server on loopback that says what a real one said (see `recordings`)."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TType
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport, TTransportException

from tests.support.away import listening
from tests.support.recordings import Recording, recording


class _Heard:
    """A transport that keeps what is read from it."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.bytes = b""

    def readAll(self, size: int) -> bytes:
        data: bytes = self._transport.readAll(size)
        self.bytes += data
        return data


def _message(transport: Any) -> tuple[str, bytes]:
    """Read one message of Thrift: its name, and all of it as it came."""
    heard = _Heard(transport)
    protocol = TBinaryProtocol(heard)
    name, _, _ = protocol.readMessageBegin()
    protocol.skip(TType.STRUCT)
    return name, heard.bytes


class RecordedMetastore:
    """The server, its faults and what it was asked.

    Attributes:
        port: where it listens.
        asked: the names of calls, in their order.
        loses: calls that are carried out, and whose answer is lost, once each.
    """

    def __init__(self, played: Recording, real_port: int | None) -> None:
        """Take what was recorded, or whom to ask."""
        self._played, self._real_port = played, real_port
        self.port = 0
        self.asked: list[str] = []
        self.loses: list[str] = []

    @property
    def uri(self) -> str:
        """Where it listens."""
        return f"thrift://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        """Answer one client."""
        thrift = TSocket()
        thrift.setHandle(connection)
        client = TBufferedTransport(thrift)
        with ExitStack() as stack:
            stack.callback(connection.close)
            real = None
            if self._real_port is not None:
                real = TBufferedTransport(TSocket("localhost", self._real_port))
                real.open()
                stack.callback(real.close)
            while True:
                try:
                    name, asked = _message(client)
                except TTransportException:  # the client is done
                    return
                self.asked.append(name)
                answer = self._answer(name, asked, real)
                if answer is None:
                    return
                if name in self.loses:
                    self.loses.remove(name)
                    return
                client.write(answer)
                client.flush()

    def _answer(self, name: str, asked: bytes, real: Any) -> bytes | None:
        # One character a byte: what is text in it can be read.
        exchange = {"call": name, "asked": asked.decode("latin-1")}
        if real is None:
            found = self._played.answer(exchange)
            return None if found is None else str(found["answer"]).encode("latin-1")
        real.write(asked)
        real.flush()
        _, answer = _message(real)
        self._played.add({**exchange, "answer": answer.decode("latin-1")})
        return answer


@contextmanager
def recorded_metastore(name: str, *, real_port: int | None = None) -> Iterator[RecordedMetastore]:
    """Run the server of a recording; with the port of a real metastore, ask that and record it."""
    with recording("metastore", name) as played:
        server = RecordedMetastore(played, real_port)
        with listening(server.serve) as server.port:
            yield server
