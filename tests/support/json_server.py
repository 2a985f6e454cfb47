"""A server on loopback that answers by what a test says, by HTTP or HTTPS, with or without a login."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = Any
"""JSON; bytes as they are; a number: an error of this status; `Reply`; a function of parameters that returns one."""


@dataclass(frozen=True)
class Reply:
    """An answer in full."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Answers:
    """What each path is answered by (anything else is 404), and what was asked.

    Attributes:
        login: What requests must have as `Authorization`; anything, where it is empty.
    """

    paths: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    posted: list[tuple[str, Any]] = field(default_factory=list)
    login: str = ""

    def to(self, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        reply = self.reply(path)
        return reply.status, reply.body

    def reply(self, path: str) -> Reply:
        """Return an answer whose body is bytes."""
        split = urlsplit(path)
        self.asked.append(split.path)
        answer = self.paths.get(split.path, 404)
        if callable(answer):
            answer = answer({key: values[0] for key, values in parse_qs(split.query).items()})
        if isinstance(answer, int) and not isinstance(answer, bool):
            answer = Reply(answer, {"errors": ["so it is"]})
        if not isinstance(answer, Reply):
            answer = Reply(200, answer)
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        return Reply(answer.status, body, answer.headers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    answers: Answers

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answers.posted.append((self.path, json.loads(body) if body[:1] in (b"{", b"[") else body.decode()))
        self._answer()

    def _answer(self) -> None:
        wanted, login = self.answers.login, self.headers.get("Authorization") or ""
        if wanted and login != wanted:
            self._send(Reply(401, b"who are you?", {"WWW-Authenticate": f"{wanted.split()[0]} realm=x"}))
        else:
            self._send(self.answers.reply(self.path))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the thread of the connection: a client that fails to must not stop the others."""
        raw = request.dup()
        try:
            super().finish_request(self._secured(request), client_address)
        except ssl.SSLError:  # closing with bytes unread would be a reset, and the client miss why
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(65536):
                pass
        finally:
            raw.close()

    def _secured(self, request: Any) -> Any:
        return self.tls.wrap_socket(request, server_side=True) if self.tls else request

    def handle_error(self, *_: object) -> None:
        """Clients that have gone are none of its business."""


@contextmanager
def served(answers: Answers, *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve answers, and give the address."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"answers": answers}))
    server.tls = tls
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
