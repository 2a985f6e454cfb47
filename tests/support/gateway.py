"""HttpFS's side of the protocol before a real HDFS: one address, nothing redirects to DataNodes.

HttpFS 3.4 is not on Maven Central. What differs from a NameNode is done here as its documentation and source say: OPEN
answers with the bytes, CREATE redirects to itself with ``data=true``, RENAME knows no ``renameoptions`` and answers yes
or no.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = ""
    relative = False

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._pass_on(None)

    def do_DELETE(self) -> None:
        self._pass_on(None)

    def do_PUT(self) -> None:
        if "op=CREATE&" not in self.path:
            self._pass_on(None)
        elif "data=true" in self.path:
            self._pass_on(self._body())
        else:
            self.send_response(307)
            host = "" if self.relative else f"http://{self.headers['Host']}"
            self.send_header("Location", f"{host}{self.path}&data=true")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _body(self) -> bytes:
        if self.headers.get("Content-Type") != "application/octet-stream":
            return b""  # HttpFS refuses any other
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _pass_on(self, data: bytes | None) -> None:
        parts = urlsplit(self.path)
        query = [(key, value) for key, value in parse_qsl(parts.query) if key != "renameoptions"]
        url = f"{self.upstream}{parts.path}?{urlencode(query)}"
        answer = requests.request(self.command, url, allow_redirects=data is None, timeout=120)
        if data is not None:
            answer = requests.put(answer.headers["Location"], data=data, timeout=120)
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("Content-Type") or "application/json")
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)


@contextmanager
def httpfs(namenode_url: str, *, relative: bool = False) -> Iterator[str]:
    """Run it before a NameNode and give its address; gateways may name no host where they redirect to themselves."""
    handler = type("Handler", (_Handler,), {"upstream": namenode_url, "relative": relative})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()
