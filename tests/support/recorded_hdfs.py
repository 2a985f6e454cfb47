"""HDFS as it was recorded: NameNodes and a DataNode on loopback that say what real ones said (see `recordings`)."""

import base64
import hashlib
import re
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from tests.support.hadoop import Hdfs
from tests.support.recordings import Recording, recording

# What differs each time, and means nothing.
_RANDOM = [
    (re.compile(r"(\.autostream-)[0-9a-f]{32}"), r"\g<1>*"),
    (re.compile(r"(namenoderpcaddress=)[^&]*"), r"\g<1>lake"),
    (re.compile(r"(excludedatanodes=)[^&]*"), r"\g<1>datanode"),
]
_KEPT_HEADERS = ("Content-Type", "Location", "Set-Cookie", "WWW-Authenticate")


@dataclass(frozen=True)
class Answer:
    """An answer by HTTP."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class _Fault:
    """What becomes of one answer: another one in its place, or only the first bytes of it (none: it is lost)."""

    request: str
    instead: Answer | None = None
    bytes_sent: int | None = None


class RecordedHdfs:
    """The servers, their faults and what they were asked.

    Attributes:
        urls: of the NameNodes.
        asked: the requests, each as `namenode-1 GETFILESTATUS`.
        real: the real HDFS while it is recorded.
    """

    def __init__(self, played: Recording, real: Hdfs | None) -> None:
        """Take what was recorded, or whom to ask."""
        self._played, self.real = played, real
        self._faults: list[_Fault] = []
        self._addresses: dict[str, str] = {}  # by name, of the servers of this process
        self._upstream: dict[str, str] = {}  # by name, of the real ones
        self.asked: list[str] = []

    @property
    def urls(self) -> tuple[str, ...]:
        """Where the NameNodes answer."""
        return tuple(f"http://{self._addresses[name]}" for name in sorted(self._addresses) if name != "datanode")

    def lose(self, request: str) -> None:
        """Do what is asked the next time, and close the connection without an answer."""
        self._faults.append(_Fault(request, bytes_sent=0))

    def cut(self, request: str, *, after: int) -> None:
        """Close the connection after some bytes of the next answer's body."""
        self._faults.append(_Fault(request, bytes_sent=after))

    def refuse(self, request: str, answer: Answer) -> None:
        """Answer the next one so, as a gateway does, and do nothing."""
        self._faults.append(_Fault(request, instead=answer))

    def fault_of(self, request: str) -> _Fault | None:
        """Take the fault that was meant for a request."""
        self.asked.append(request)
        for fault in self._faults:
            if fault.request == request:
                self._faults.remove(fault)
                return fault
        return None

    def answer(self, server: str, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Return what a server says, or said."""
        asked = {"server": server, "asked": f"{method} {_without_random(target)}", "sent": _digest(body)}
        if self.real is None:
            found = self._played.answer(asked)
            if found is None:
                return Answer(599, body=self._played.complaint.encode())
            return Answer(found["status"], self._here(found["headers"]), _bytes_of(found["body"]))
        sent = {name: headers[name] for name in ("Content-Type",) if name in headers}
        url = f"http://{self._upstream[server]}{target}"
        said = requests.request(method, url, data=body, headers=sent, allow_redirects=False, timeout=60)
        kept = {name: said.headers[name] for name in _KEPT_HEADERS if name in said.headers}
        if "Location" in kept:
            kept["Location"] = self._named(kept["Location"])
        answered = {"status": said.status_code, "headers": kept, "body": _text_of(said.content)}
        told = {**kept, "Location": _without_random(kept["Location"])} if "Location" in kept else kept
        self._played.add({**asked, **answered, "headers": told})
        return Answer(said.status_code, self._here(kept), said.content)

    def _named(self, location: str) -> str:
        """Put the name of a server in the place of its address."""
        address = urlsplit(location).netloc
        for name, known in self._upstream.items():
            if known == address:
                return location.replace(address, f"<{name}>", 1)
        self._upstream["datanode"] = address  # the only server that is not known from the beginning
        return location.replace(address, "<datanode>", 1)

    def _here(self, headers: dict[str, str]) -> dict[str, str]:
        def address(match: re.Match[str]) -> str:
            return self._addresses[match[1]]

        return {name: re.sub("<([a-z0-9-]+)>", address, value) for name, value in headers.items()}

    def serve(self, stack: ExitStack, namenodes: int) -> None:
        """Run the servers until the stack is left."""
        for name in [f"namenode-{number + 1}" for number in range(namenodes)] + ["datanode"]:
            handler = type("Handler", (_Handler,), {"hdfs": self, "name": name})
            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(server.shutdown)
            self._addresses[name] = f"127.0.0.1:{server.server_port}"
        if self.real:
            for number, url in enumerate(self.real.webhdfs_urls):
                self._upstream[f"namenode-{number + 1}"] = urlsplit(url).netloc


@contextmanager
def recorded_hdfs(name: str, *, namenodes: int = 1, real: Hdfs | None = None) -> Iterator[RecordedHdfs]:
    """Run the servers of a recording; with a real HDFS, ask that and record it."""
    with recording("webhdfs", name) as played, ExitStack() as stack:
        hdfs = RecordedHdfs(played, real)
        hdfs.serve(stack, namenodes)
        yield hdfs


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: the second one would wait for the client's word
    hdfs: RecordedHdfs
    name: str

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        body = self._body()
        if body is None:  # the client broke off
            self.close_connection = True
            return
        operation = parse_qs(urlsplit(self.path).query)["op"][0]
        fault = self.hdfs.fault_of(f"{self.name} {operation}")
        answer = fault.instead if fault else None
        if answer is None:
            answer = self.hdfs.answer(self.name, self.command, self.path, dict(self.headers), body)
        sent = len(answer.body)
        if fault is not None and fault.bytes_sent is not None:
            self.close_connection = True
            if not fault.bytes_sent:
                return
            sent = fault.bytes_sent
        self.send_response(answer.status)
        for header, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(answer.body[:sent])

    do_PUT = do_DELETE = do_GET

    def _body(self) -> bytes | None:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while line := self.rfile.readline():
            size = int(line, 16)
            parts.append(self.rfile.read(size))
            self.rfile.readline()
            if not size:
                return b"".join(parts)
        return None


def _without_random(text: str) -> str:
    for pattern, instead in _RANDOM:
        text = pattern.sub(instead, text)
    return text


def _digest(body: bytes) -> str:
    return f"{len(body)} bytes, SHA-256 {hashlib.sha256(body).hexdigest()[:16]}" if body else ""


def _text_of(body: bytes) -> Any:
    try:
        return body.decode() if len(body) < 2_000 else {"zlib": base64.b64encode(zlib.compress(body, 9)).decode()}
    except UnicodeDecodeError:
        return {"zlib": base64.b64encode(zlib.compress(body, 9)).decode()}


def _bytes_of(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else zlib.decompress(base64.b64decode(body["zlib"]))
