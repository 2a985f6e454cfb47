"""A TCP proxy before ZooKeeper that loses what it is told to lose."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Proxy:
    """Passes bytes on to a server, until it is told otherwise."""

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.partition(":")
        self._upstream = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._mutex = threading.Lock()
        self._refuses = False
        self._answer_lost_after: bytes | None = None
        self._request_lost: bytes | None = None
        self.losses = 0
        self.bytes_to_server = b""
        self.hosts = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answer_to(self, request: bytes) -> None:
        """Cut the connection when the next request that holds these bytes has reached the server and been answered."""
        self._answer_lost_after = request

    def lose_request(self, request: bytes) -> None:
        """Cut the connection instead of passing on the next request that holds these bytes."""
        self._request_lost = request

    def refuse(self) -> None:
        """Cut all connections, and every new one, until `resume`."""
        self._refuses = True
        self.cut()

    def resume(self) -> None:
        """Pass bytes on again."""
        self._refuses = False

    def cut(self) -> None:
        """Cut all connections."""
        with self._mutex:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self._close(*pair)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._refuses = True
        self._listener.close()
        self.cut()

    @staticmethod
    def _close(*sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                self._close(client)
                continue
            try:
                server = socket.create_connection(self._upstream)
            except OSError:
                self._close(client)
                continue
            with self._mutex:
                self._pairs.append((client, server))
            armed = threading.Event()
            for target in (self._to_server, self._to_client):
                threading.Thread(target=target, args=(client, server, armed), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, armed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._request_lost and self._request_lost in data:
                    self._request_lost = None
                    self.losses += 1
                    break
                if self._answer_lost_after and self._answer_lost_after in data:
                    self._answer_lost_after = None
                    armed.set()
                self.bytes_to_server += data
                server.sendall(data)
        self._close(client, server)

    def _to_client(self, client: socket.socket, server: socket.socket, armed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if armed.is_set():
                    self.losses += 1
                    break
                client.sendall(data)
        self._close(client, server)
