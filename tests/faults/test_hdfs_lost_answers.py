"""WebHDFS with requests and answers that get lost, on a real HDFS: no half file, no file twice, no wrong verdict."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from autostream.errors import AutostreamError, OutcomeUnknownError, ServiceError
from autostream.hadoop.reader import RangeReader
from autostream.hadoop.settings import WebHdfsSettings
from autostream.hadoop.tails import TAILS
from autostream.hadoop.transport import Transport
from autostream.hadoop.webhdfs import WebHdfs
from autostream.hadoop.writer import BUFFER_BYTES, StagedWriter
from tests.coordination.locking import until
from tests.support.clocks import FakeClock
from tests.support.faultproxy import FaultProxy
from tests.support.hadoop import Hdfs

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]

DIRECTORY = "/data/lost"
SMALL, LARGE = b"s" * 1000, b"l" * (2 * BUFFER_BYTES)


@dataclass
class Between:
    """Proxies before the NameNode and the DataNode, clients through them (one for what hangs) and beside them."""

    namenode: FaultProxy
    datanode: FaultProxy
    client: WebHdfs
    impatient: WebHdfs
    direct: WebHdfs

    def names(self) -> list[str]:
        return [entry.path.removeprefix(f"{DIRECTORY}/") for entry in self.direct.list_directory(DIRECTORY)]

    def write(self, name: str, data: bytes, *, overwrite: bool = False, client: WebHdfs | None = None) -> None:
        with StagedWriter(client or self.client, f"{DIRECTORY}/{name}", overwrite=overwrite) as stream:
            stream.write(data)

    def read(self, name: str) -> bytes:
        return self.direct.read(f"{DIRECTORY}/{name}")


@pytest.fixture
def between(hdfs: Hdfs, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Iterator[Between]:
    direct = WebHdfs(WebHdfsSettings(hdfs.webhdfs_urls, user="svc", proxy_user="alice"))
    direct.make_directory(DIRECTORY)
    direct.put(f"{DIRECTORY}/probe", b"1")
    node: list[str] = []
    target = Transport.target

    def through(self: Transport, *arguments: Any) -> str:
        """Lead a client of the proxy to the DataNode's proxy."""
        url = target(self, *arguments)
        node[:] = [urlsplit(url).netloc]
        if self.settings.urls == hdfs.webhdfs_urls:
            return url
        return url.replace(node[0], f"localhost:{datanode.port}", 1)

    monkeypatch.setattr(Transport, "target", through)
    direct.read(f"{DIRECTORY}/probe")
    direct.delete(f"{DIRECTORY}/probe")
    TAILS.forget()
    host, port = node[0].split(":")
    with (
        FaultProxy("localhost", urlsplit(hdfs.webhdfs_url).port or 0) as namenode,
        FaultProxy(host, int(port)) as datanode,
    ):
        settings = WebHdfsSettings(
            (f"http://localhost:{namenode.port}",),
            user="svc",
            proxy_user="alice",
            retries=3,
        )
        impatient = WebHdfs(replace(settings, read_timeout_seconds=1.0))
        yield Between(namenode, datanode, WebHdfs(settings), impatient, direct)
    direct.delete(DIRECTORY, recursive=True)


ALL = pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])


@ALL
@pytest.mark.parametrize("fault", ["cut_request", "cut_answer"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_rename_of_a_written_file_gets_lost(between: Between, data: bytes, fault: str, overwrite: bool) -> None:
    happened = getattr(between.namenode, fault)(b"op=RENAME")
    between.write("x", data, overwrite=overwrite)
    assert happened.hits == 1
    assert between.names() == ["x"]
    assert between.read("x") == data


@ALL
def test_a_rename_whose_answer_was_lost_does_not_win_twice(between: Between, data: bytes) -> None:
    """It was done: that is found out, and another writer who comes later loses."""
    between.namenode.cut_answer(b"op=RENAME")
    first = StagedWriter(between.client, f"{DIRECTORY}/x")
    first.write(data)
    other = StagedWriter(between.direct, f"{DIRECTORY}/x")
    other.write(b"other")
    first.close()
    with pytest.raises(FileExistsError):
        other.close()
    assert between.read("x") == data
    assert between.names() == ["x"]


@ALL
def test_every_rename_gets_lost(between: Between, data: bytes) -> None:
    """Deleting the source decides that it was not done."""
    happened = between.namenode.cut_request(b"op=RENAME", times=None)
    with pytest.raises(ServiceError, match=r"did not answer .*RENAME /data/lost/x.autostream-"):
        between.write("x", data)
    assert happened.hits == 4
    assert between.names() == []


@ALL
@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
def test_the_namenode_goes_away_with_the_rename(between: Between, data: bytes, done: bool) -> None:
    """Nobody can know: it is said, and so is where to look."""
    cut = between.namenode.cut_answer if done else between.namenode.cut_request
    cut(b"op=RENAME", then=between.namenode.down)
    stream = StagedWriter(between.client, f"{DIRECTORY}/x")
    stream.write(data)
    with pytest.raises(OutcomeUnknownError, match=r"not known whether /data/lost/x was written: .*Check whether it"):
        stream.close()
    if done:
        assert between.names() == ["x"]
    else:
        assert [name.startswith("x.autostream-") for name in between.names()] == [True]


@pytest.mark.parametrize("fault", ["cut_request", "cut_answer"])
def test_a_small_file_is_sent_again(between: Between, fault: str) -> None:
    happened = getattr(between.datanode, fault)(b"op=CREATE")
    between.write("x", SMALL)
    assert happened.hits == 1
    assert between.names() == ["x"]
    assert between.read("x") == SMALL


def test_a_small_file_never_gets_through(between: Between) -> None:
    between.datanode.cut_answer(b"op=CREATE", times=None)
    with pytest.raises(ServiceError, match=r"did not answer .*CREATE /data/lost/x.autostream-.*DataNode"):
        between.write("x", SMALL)
    assert between.names() == []


def test_a_large_file_breaks_off(between: Between) -> None:
    """It cannot be sent again: its bytes are gone. It fails, and leaves nothing."""
    stream = StagedWriter(between.client, f"{DIRECTORY}/x")
    stream.write(LARGE)
    between.datanode.down()
    with pytest.raises(ServiceError, match="The connection broke while writing a file"):
        stream.write(20 * LARGE)
    stream.abort()
    assert between.names() == []


def test_the_answer_to_a_large_file_is_lost(between: Between, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DataNode answers before it has made the file, so that it may be made after the first deletion."""
    monkeypatch.setattr(between.client, "pause", lambda _: until(lambda: between.names(), what="the late file"))
    between.datanode.cut_answer(b"op=CREATE", nth=1)
    with pytest.raises(ServiceError, match="The connection broke while writing a file"):
        between.write("x", LARGE)
    assert between.names() == []


def test_a_file_that_is_made_after_its_deletion_goes_all_the_same(
    between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is held up until the client has given up, and has deleted what was not there yet."""
    held = between.datanode.hold_request(b"op=CREATE")
    pauses: list[int] = []

    def pause(failures: int) -> None:
        pauses.append(failures)
        held.release()
        until(between.names, what="the late file")

    monkeypatch.setattr(between.impatient, "pause", pause)
    with pytest.raises(ServiceError, match="The connection broke while writing a file"):
        between.write("x", LARGE, client=between.impatient)
    assert pauses
    assert between.names() == []


def test_a_datanode_that_cannot_be_reached(between: Between) -> None:
    between.datanode.down()
    with pytest.raises(ServiceError, match=r"Cannot reach the DataNode localhost:\d+ that the NameNode named"):
        between.write("x", SMALL)
    with pytest.raises(ServiceError, match=r"Cannot reach the DataNode localhost:\d+ that the NameNode named"):
        between.write("x", LARGE)
    assert between.names() == []


REPEATED: list[tuple[bytes, Callable[[WebHdfs], object]]] = [
    (b"op=GETFILESTATUS", lambda client: client.status(f"{DIRECTORY}/x").size_bytes == 1000),
    (b"op=LISTSTATUS_BATCH", lambda client: len(list(client.list_directory(DIRECTORY))) == 1),
    (b"op=MKDIRS", lambda client: client.make_directory(f"{DIRECTORY}/sub") is None),
    (b"op=SETPERMISSION", lambda client: client.set_permission(f"{DIRECTORY}/x", "600") is None),
    (b"op=OPEN", lambda client: client.read(f"{DIRECTORY}/x") == SMALL),
    (b"op=CREATE", lambda client: client.put(f"{DIRECTORY}/y", b"1") is None),
]


@pytest.mark.parametrize("fault", ["cut_request", "cut_answer"])
@pytest.mark.parametrize(("operation", "call"), REPEATED, ids=[name.decode()[3:] for name, _ in REPEATED])
def test_what_can_be_repeated_is_repeated(
    between: Between, fault: str, operation: bytes, call: Callable[[WebHdfs], object]
) -> None:
    between.direct.put(f"{DIRECTORY}/x", SMALL)
    happened = getattr(between.namenode, fault)(operation)
    assert call(between.client)
    assert happened.hits == 1


@pytest.mark.parametrize(("fault", "known"), [("cut_request", True), ("cut_answer", None)])
def test_a_deletion_is_repeated(between: Between, fault: str, known: bool | None) -> None:
    between.direct.put(f"{DIRECTORY}/x", SMALL)
    getattr(between.namenode, fault)(b"op=DELETE")
    assert between.client.delete(f"{DIRECTORY}/x") is known
    assert between.names() == []


def test_an_answer_that_does_not_come(between: Between) -> None:
    between.direct.put(f"{DIRECTORY}/x", SMALL)
    held = between.namenode.hold_answer(b"op=GETFILESTATUS")
    assert between.impatient.status(f"{DIRECTORY}/x").size_bytes == 1000
    held.release()
    between.namenode.freeze()
    with pytest.raises(ServiceError, match=r"did not answer .*[Tt]imed out"):
        between.impatient.status(f"{DIRECTORY}/x")
    between.namenode.thaw()


def test_an_answer_that_is_none(between: Between) -> None:
    between.namenode.replace_answer(b"op=GETFILESTATUS", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    with pytest.raises(ServiceError, match=r"The server is not a WebHDFS .*hello.*Check webhdfs.urls"):
        between.client.status(f"{DIRECTORY}/x")
    between.namenode.replace_answer(b"op=GETFILESTATUS", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    with pytest.raises(ServiceError, match=r"has no FileStatus: the server is not a WebHDFS"):
        between.client.status(f"{DIRECTORY}/x")
    between.namenode.replace_answer(b"op=MKDIRS", b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    between.client.make_directory(f"{DIRECTORY}/sub")
    assert between.names() == ["sub"]


def test_a_redirection_to_another_scheme_is_not_followed(between: Between) -> None:
    answer = b"HTTP/1.1 307 Elsewhere\r\nLocation: https://other:9865/webhdfs/v1/x?delegation=SECRET\r\n\r\n"
    for call in (lambda: between.client.read(f"{DIRECTORY}/x"), lambda: between.client.put(f"{DIRECTORY}/x", b"1")):
        between.namenode.replace_answer(b"webhdfs", answer)
        with pytest.raises(ServiceError, match=r"redirects to https://other:9865 .*does not follow") as caught:
            call()
        assert "SECRET" not in str(caught.value)


def test_reading_goes_on_where_it_broke(between: Between) -> None:
    data = bytes(range(256)) * 20_000
    between.direct.put(f"{DIRECTORY}/x", data)
    reader = RangeReader(between.client, f"{DIRECTORY}/x", len(data), modified_at_ms=0)
    found = b""
    while piece := reader.read(700_000):
        found += piece
        between.datanode.down()
        between.datanode.up()
    assert found == data


def test_a_server_that_hangs_while_a_file_is_read(between: Between) -> None:
    data = bytes(range(256)) * 20_000
    between.direct.put(f"{DIRECTORY}/x", data)
    reader = RangeReader(between.impatient, f"{DIRECTORY}/x", len(data), modified_at_ms=0)
    assert reader.read(10) == data[:10]
    between.datanode.freeze()
    try:
        with pytest.raises(AutostreamError, match=r"did not answer .*DataNode"):
            reader.read()
    finally:
        between.datanode.thaw()
    reader.seek(0)
    assert reader.read() == data
