"""WebHDFS clients while NameNodes fail over, end, and come back."""

import threading
from collections.abc import Callable, Iterator

import pytest

from autostream.errors import ServiceError
from autostream.hadoop.fileio import WebHdfsFileIO
from autostream.hadoop.settings import WebHdfsSettings
from autostream.hadoop.webhdfs import WebHdfs
from tests.support.clocks import FakeClock
from tests.support.hadoop import Hdfs
from tests.support.hadoop import hdfs as start_hdfs

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]


@pytest.fixture(scope="module")
def pair() -> Iterator[Hdfs]:
    with start_hdfs(namenodes=2) as service:
        yield service


@pytest.fixture(autouse=True)
def _pauses_take_no_time(clock: FakeClock) -> None:
    """Something else may happen instead."""


def client(hdfs: Hdfs, *, retries: int = 3) -> WebHdfs:
    return WebHdfs(WebHdfsSettings(hdfs.webhdfs_urls, user="svc", proxy_user="alice", retries=retries))


def test_the_active_one_is_found_and_remembered(pair: Hdfs) -> None:
    pair.activate(2)
    files = client(pair, retries=0)  # one round: the standby, then the active one
    files.put("/data/x", b"1", overwrite=True)
    assert files.read("/data/x") == b"1"
    active = pair.webhdfs_urls[1]
    assert files.active_url == active
    only_standby = WebHdfs(WebHdfsSettings((pair.webhdfs_urls[0],), user="svc", retries=1))
    with pytest.raises(ServiceError, match=r"Every NameNode is in standby .*GETFILESTATUS /data/x at .*haadmin"):
        only_standby.status("/data/x")
    pair.activate(1)
    assert files.status("/data/x").owner == "alice"
    assert files.active_url == pair.webhdfs_urls[0]


def test_every_operation_goes_on_after_a_fail_over(pair: Hdfs) -> None:
    files = client(pair)
    operations: list[Callable[[], object]] = [
        lambda: files.make_directory("/data/ha"),
        lambda: files.put("/data/ha/x", b"1", overwrite=True),
        lambda: files.rename("/data/ha/x", "/data/ha/y", overwrite=True),
        lambda: files.set_permission("/data/ha/y", "600"),
        lambda: [entry.path for entry in files.list_directory("/data/ha")] == ["/data/ha/y"] or pytest.fail("listing"),
        lambda: files.read("/data/ha/y") == b"1" or pytest.fail("content"),
        lambda: files.delete("/data/ha", recursive=True) or pytest.fail("nothing was deleted"),
    ]
    for number, operation in enumerate(operations):
        pair.activate(1 + number % 2)
        operation()


def test_a_large_file_is_read_and_written_across_a_fail_over(pair: Hdfs) -> None:
    pair.activate(1)
    files = WebHdfsFileIO({"webhdfs.urls": ",".join(pair.webhdfs_urls), "webhdfs.user": "svc"})
    data = bytes(range(256)) * 40_000
    with files.new_output("hdfs://lake/data/large").create(overwrite=True) as sink:
        sink.write(data[:6_000_000])
        pair.activate(2)
        sink.write(data[6_000_000:])
    with files.new_input("hdfs://lake/data/large").open() as source:
        first = source.read(300_000)
        pair.activate(1)
        assert first + source.read() == data  # type: ignore[call-arg]


def test_a_namenode_that_ends_and_none_that_takes_over(pair: Hdfs, clock: FakeClock) -> None:
    pair.activate(1)
    files = client(pair)
    files.put("/data/z", b"1", overwrite=True)
    pair.kill(1)
    try:
        before = len(clock.slept)
        clock.then = {before + 2: lambda: pair.activate(2)}
        assert client(pair).status("/data/z").size_bytes == 1
        assert len(clock.slept) == before + 2
        assert client(pair, retries=0).read("/data/z") == b"1"
    finally:
        pair.up(1)
    assert client(pair, retries=0).read("/data/z") == b"1"


def test_the_only_namenode_ends_and_comes_back(hdfs: Hdfs, clock: FakeClock) -> None:
    files = client(hdfs)
    files.put("/data/z", b"1", overwrite=True)
    hdfs.kill()
    came_back = threading.Event()

    def come_back() -> None:
        came_back.set()
        hdfs.up()

    try:
        with pytest.raises(ServiceError, match=r"Cannot reach HDFS .*Connection refused\. Check webhdfs.urls"):
            client(hdfs, retries=1).status("/data/z")
        clock.then = {len(clock.slept) + 1: come_back}
        assert client(hdfs, retries=20).read("/data/z") == b"1"
    finally:
        if not came_back.is_set():
            hdfs.up()
