"""Servers on loopback that are away, each in its own way, and a metastore that answers out of a dictionary."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hive_metastore.ThriftHiveMetastore import Processor
from hive_metastore.ttypes import NoSuchObjectException, Table
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport, TTransportException

WAYS = ("refuses", "hangs", "closes", "resets", "speaks HTTP", "speaks TLS")


@contextmanager
def away(way: str) -> Iterator[int]:
    """Give the port of a server that is away in one of `WAYS`."""
    if way == "refuses":
        with socket.socket() as held:  # bound, never listening: nobody else gets the port
            held.bind(("127.0.0.1", 0))
            yield held.getsockname()[1]
        return
    kept: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        if way == "hangs":
            kept.append(connection)
            return
        if way == "resets":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            if way in _ANSWERS:
                connection.recv(1)
                connection.sendall(_ANSWERS[way])
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):  # closing with bytes unread would be a reset
                pass
        connection.close()

    with listening(serve) as port:
        yield port
    for connection in kept:
        connection.close()


_ANSWERS = {
    "speaks HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nNot here\n",
    "speaks TLS": b"\x15\x03\x03\x00\x02\x02\x46",
}


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a server that serves each connection in a thread of its own; give its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # closed
                    return
                threading.Thread(target=_quietly, args=(serve, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _quietly(serve: Callable[[socket.socket], None], connection: socket.socket) -> None:
    try:
        serve(connection)
    except OSError:
        connection.close()


class Metastore:
    """What a metastore answers.

    Attributes:
        tables: by name.
        asked: the names of calls, in their order.
        breaks: calls at which it closes the connection, the answer unsent.
    """

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.asked: list[str] = []
        self.breaks: set[str] = set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *_: self._note(name)

    def _note(self, name: str) -> list[str]:
        self.asked.append(name)
        if name in self.breaks:
            raise TTransportException(TTransportException.END_OF_FILE, "broken on purpose")
        return []

    def getStatus(self) -> int:
        self._note("getStatus")
        return 2

    def get_table(self, database: str, name: str) -> Table:
        self._note("get_table")
        if name not in self.tables:
            raise NoSuchObjectException(f"{database}.{name} table not found")
        return self.tables[name]


@contextmanager
def metastore() -> Iterator[tuple[Metastore, int]]:
    """Run one, and give it with its port."""
    handler = Metastore()
    processor = Processor(handler)

    def serve(connection: socket.socket) -> None:
        thrift = TSocket()
        thrift.setHandle(connection)
        protocol = TBinaryProtocol(TBufferedTransport(thrift))
        try:
            while True:
                processor.process(protocol, protocol)
        except TTransportException:
            connection.close()

    with listening(serve) as port:
        yield handler, port
