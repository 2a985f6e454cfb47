"""Several NameNodes, and addresses of something else: the next is asked, and what answered is told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from autostream.errors import AutostreamError, ConfigurationError, DeniedError, ServiceError
from autostream.hadoop.settings import parse_location, settings_for
from autostream.hadoop.transport import AnswerLostError, Transport
from autostream.hadoop.webhdfs import WebHdfs
from tests.support.away import WAYS, away

STATUS = {"length": 1, "type": "FILE", "modificationTime": 1, "owner": "o", "group": "g", "permission": "644"}
Answer = tuple[int, dict[str, str], bytes]
NAMENODE: Answer = (200, {}, json.dumps({"FileStatus": STATUS}).encode())


class _Handler(BaseHTTPRequestHandler):
    answer: Answer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        status, headers, body = self.answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """Run a server that answers everything so; give its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"answer": answer})) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def client(*urls: str) -> WebHdfs:
    properties = {"webhdfs.urls": ",".join(urls), "webhdfs.user": "svc", "webhdfs.retries": "0"}
    short = {"webhdfs.read-timeout-seconds": "1", "webhdfs.connect-timeout-seconds": "1"}
    return WebHdfs(settings_for({**properties, **short}, parse_location("hdfs://lake/x")))


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("way", WAYS)
def test_the_next_one_is_asked_and_remembered(way: str, scheme: str) -> None:
    with away(way) as port, answering(NAMENODE) as url:
        hdfs = client(f"{scheme}://127.0.0.1:{port}", url)
        assert hdfs.status("/x").size_bytes == 1
        assert hdfs.active_url == url


HTML = b"<html><title>Please log in</title></html>"
FOREIGN: list[tuple[Answer, str]] = [
    ((200, {}, HTML), "server is not a WebHDFS .* HTTP 200"),
    ((302, {"Location": "/login?token=SECRET"}, b""), "HTTP 302 it redirects to http://127.0.0.1:[0-9]+/login"),
    ((302, {"Location": "https://u:SECRET@sso/x"}, b""), "it redirects to https://sso/x"),
    ((401, {"WWW-Authenticate": 'Basic realm="x"'}, HTML), "asks for a login with Basic"),
    ((404, {}, HTML), "server is not a WebHDFS .* HTTP 404 Please log in"),
    (
        (404, {}, b"It looks like you are making an HTTP request to a Hadoop IPC port. This is not the correct port"),
        "is a port of Hadoop's RPC, .* Set webhdfs.urls to the NameNode's HTTP address",
    ),
    ((500, {}, b"boom"), "HTTP 500 boom"),
]


@pytest.mark.parametrize(("answer", "says"), FOREIGN)
def test_what_is_no_webhdfs_is_told_and_the_next_is_asked(answer: Answer, says: str) -> None:
    with answering(answer) as other, answering(NAMENODE) as url:
        with pytest.raises(ServiceError, match=says) as raised:
            client(other).status("/x")
        assert not isinstance(raised.value, DeniedError)
        assert "SECRET" not in str(raised.value)
        assert client(other, url).status("/x").size_bytes == 1


def test_a_login_that_hdfs_refuses_is_a_refusal() -> None:
    with answering((401, {"WWW-Authenticate": "Negotiate"}, HTML)) as url, pytest.raises(DeniedError):
        client(url).status("/x")


def test_what_hdfs_itself_answers_is_not_asked_of_another() -> None:
    missing = json.dumps({"RemoteException": {"exception": "FileNotFoundException", "message": "no /x"}}).encode()
    with answering((404, {}, missing)) as url, answering(NAMENODE) as other, pytest.raises(FileNotFoundError):
        client(url, other).status("/x")


def test_a_failure_of_a_gateway_leaves_a_change_in_doubt() -> None:
    with (
        answering((500, {}, b"boom")) as url,
        answering(NAMENODE) as other,
        pytest.raises(AnswerLostError, match="HTTP 500 boom"),
    ):
        Transport(client(url, other).settings).json("PUT", "RENAME", "/x", repeatable=False)


@pytest.mark.parametrize(
    ("scheme", "port_speaks", "says"),
    [
        ("https", "speaks HTTP", "does not speak TLS .* Write http:// in webhdfs.urls"),
        ("http", "speaks TLS", "speaks TLS. Write https:// in webhdfs.urls"),
        ("https", "closes", "closed the connection during the TLS handshake"),
    ],
)
def test_the_wrong_one_of_http_and_https(scheme: str, port_speaks: str, says: str) -> None:
    with away(port_speaks) as port, pytest.raises(AutostreamError, match=says):
        client(f"{scheme}://127.0.0.1:{port}").status("/x")


def test_a_mount_table_needs_a_server_for_it() -> None:
    place = parse_location("viewfs://lake/w/t")
    with pytest.raises(ConfigurationError, match=r"viewfs://lake is a mount table.*Set webhdfs.urls.lake to an HttpFS"):
        settings_for({"webhdfs.user": "svc"}, place)
    assert settings_for({"webhdfs.urls.lake": "http://httpfs:14000"}, place).urls == ("http://httpfs:14000",)
