"""WebHdfsFileIO on a real HDFS: reading by ranges, writing all or nothing, accounts, quotas, forks."""

import gc
import io
import os
import pickle
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autostream.errors import ConfigurationError, DataError, ServiceError
from autostream.hadoop.answers import NoSpaceError, RefusedError
from autostream.hadoop.fileio import WebHdfsFileIO
from autostream.hadoop.reader import BLOCK_BYTES, SKIP_BYTES, TAIL_BYTES, RangeReader
from autostream.hadoop.tails import TAILS
from autostream.hadoop.webhdfs import Body, BrokenBodyError, WebHdfs
from autostream.hadoop.writer import BUFFER_BYTES
from tests.support.gateway import httpfs
from tests.support.hadoop import Hdfs

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("hadoop")]


def file_io(hdfs: Hdfs, user: str = "svc", proxy: str = "alice", **more: str) -> WebHdfsFileIO:
    properties = {"webhdfs.urls": ",".join(hdfs.webhdfs_urls), "webhdfs.user": user, "autostream.proxy-user": proxy}
    return WebHdfsFileIO({**properties, **more})


@pytest.fixture
def files(hdfs: Hdfs) -> WebHdfsFileIO:
    return file_io(hdfs)


@pytest.fixture
def directory(files: WebHdfsFileIO, request: pytest.FixtureRequest) -> Iterator[str]:
    """A directory of alice's, removed afterwards."""
    location = f"hdfs://lake/data/{request.node.originalname}-{os.urandom(4).hex()}"
    path = location.removeprefix("hdfs://lake")
    files.client(location).make_directory(path)
    yield location
    files.client(location).delete(path, recursive=True)


def write(files: WebHdfsFileIO, location: str, data: bytes, *, overwrite: bool = False) -> None:
    with files.new_output(location).create(overwrite=overwrite) as stream:
        stream.write(data)


def fail_with(stream: Any, data: bytes) -> None:
    with stream:
        stream.write(data)
        _ = 1 / 0


def read(files: WebHdfsFileIO, location: str) -> bytes:
    with files.new_input(location).open() as stream:
        return stream.read()


def names(files: WebHdfsFileIO, directory: str) -> list[str]:
    return sorted(location.removeprefix(directory).lstrip("/") for location, _ in files.walk(directory))


# ------------------------------------------------------------------------------------------ writing
@pytest.mark.parametrize("size", [0, 1, 1000, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 1, 9_876_543])
def test_what_is_written_is_read(files: WebHdfsFileIO, directory: str, size: int) -> None:
    data = random.Random(size).randbytes(size)
    location = f"{directory}/x"
    with files.new_output(location).create() as stream:
        position = 0
        while position < size:
            piece = data[position : position + random.Random(position).randint(1, 3_000_000)]
            assert stream.write(memoryview(piece)) == len(piece)
            position += len(piece)
            assert stream.tell() == position  # type: ignore[attr-defined]
        assert not files.new_input(location).exists()
    assert names(files, directory) == ["x"]
    assert len(files.new_input(location)) == len(files.new_output(location)) == size
    assert read(files, location) == data


@pytest.mark.parametrize("size", [10, BUFFER_BYTES + 10])
def test_a_file_is_replaced_only_on_request(files: WebHdfsFileIO, directory: str, size: int) -> None:
    location = f"{directory}/x"
    write(files, location, b"a" * size)
    with pytest.raises(FileExistsError, match=r"/x already exists in HDFS"):
        files.new_output(location).create()
    assert read(files, location) == b"a" * size
    with files.new_output(location).create(overwrite=True) as stream:
        stream.write(b"b" * size)
        assert read(files, location) == b"a" * size
    assert read(files, location) == b"b" * size
    assert names(files, directory) == ["x"]


@pytest.mark.parametrize("size", [10, BUFFER_BYTES + 10])
@pytest.mark.parametrize("end", ["exception", "abort", "garbage"])
def test_a_file_that_is_given_up_leaves_nothing(files: WebHdfsFileIO, directory: str, size: int, end: str) -> None:
    location = f"{directory}/x"
    stream: Any = files.new_output(location).create()
    if end == "exception":
        with pytest.raises(ZeroDivisionError):
            fail_with(stream, b"a" * size)
    elif end == "abort":
        stream.write(b"a" * size)
        stream.abort()
        stream.abort()
    else:
        stream.write(b"a" * size)
        del stream
        gc.collect()
    assert names(files, directory) == []


def test_what_cannot_be_removed_is_named(files: WebHdfsFileIO, directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> bool:
        raise ServiceError("HDFS is away.")

    with monkeypatch.context() as patched:
        stream: Any = files.new_output(f"{directory}/x").create()
        patched.setattr(WebHdfs, "delete", refuse)
        with pytest.raises(ZeroDivisionError) as caught:
            fail_with(stream, b"a" * BUFFER_BYTES)
        assert "x.autostream-" in caught.value.__notes__[0]
        assert "HDFS is away" in caught.value.__notes__[0]
        stream = files.new_output(f"{directory}/x").create()
        stream.write(b"a" * BUFFER_BYTES)
        with pytest.raises(Exception, match=r"could not remove all of it. .*x.autostream-.*part may remain in HDFS"):
            stream.abort()


@pytest.mark.parametrize("size", [100, BUFFER_BYTES + 100])
def test_of_two_who_create_one_file_exactly_one_wins(files: WebHdfsFileIO, directory: str, size: int) -> None:
    for number in range(3):
        location = f"{directory}/{number}"
        streams = [files.new_output(location).create() for _ in range(4)]
        for index, stream in enumerate(streams):
            stream.write(bytes([index]) * size)
        together = threading.Barrier(len(streams))

        def close(stream: Any, together: threading.Barrier = together) -> bool:
            together.wait()
            try:
                stream.close()
            except FileExistsError:
                return False
            return True

        with ThreadPoolExecutor(len(streams)) as pool:
            won = list(pool.map(close, streams))
        assert sum(won) == 1
        assert read(files, location) == bytes([won.index(True)]) * size
    assert names(files, directory) == ["0", "1", "2"]


def test_a_file_never_lands_inside_a_directory_of_its_name(files: WebHdfsFileIO, directory: str) -> None:
    write(files, f"{directory}/x/inside", b"1")
    for overwrite in (False, True):
        with pytest.raises((FileExistsError, ServiceError)):
            write(files, f"{directory}/x", b"2", overwrite=overwrite)
    assert names(files, directory) == ["x/inside"]
    with pytest.raises(FileNotFoundError, match="is a directory"):
        files.new_input(f"{directory}/x").open()


def test_streams_refuse_what_comes_too_late(files: WebHdfsFileIO, directory: str) -> None:
    writer: Any = files.new_output(f"{directory}/x").create()
    assert writer.writable()
    assert writer.name.endswith("/x")
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="is closed"):
        writer.write(b"1")
    reader: Any = files.new_input(f"{directory}/x").open()
    assert (reader.readable(), reader.seekable(), reader.size(), reader.readall()) == (True, True, 0, b"")
    with pytest.raises(ValueError, match="before the start"):
        reader.seek(-1)
    reader.close()
    with pytest.raises(ValueError, match="is closed"):
        reader.read(1)


# ------------------------------------------------------------------------------------------ reading
SIZES = (0, 1, BLOCK_BYTES, TAIL_BYTES - 1, TAIL_BYTES, TAIL_BYTES + 1, TAIL_BYTES + SKIP_BYTES + 7, 3_000_000)


@pytest.fixture(scope="module")
def stored(hdfs: Hdfs) -> Iterator[dict[int, bytes]]:
    """Files of several sizes in /data/sizes, each called as long as it is."""
    files = file_io(hdfs)
    contents = {size: random.Random(size).randbytes(size) for size in SIZES}
    for size, data in contents.items():
        write(files, f"hdfs://lake/data/sizes/{size}", data)
    yield contents
    files.client("hdfs://lake/").delete("/data/sizes", recursive=True)


class Breaking(WebHdfs):
    """Its bodies break after a number of bytes, again and again."""

    def __init__(self, client: WebHdfs, breaks: Iterator[int]) -> None:
        self.settings = client.settings
        self._client, self._breaks = client, breaks
        self.pauses: list[int] = []

    def open(self, path: str, *, offset: int = 0, length: int | None = None) -> Body:
        return _BreakingBody(self._client.open(path, offset=offset, length=length), next(self._breaks))

    def status(self, path: str) -> Any:
        return self._client.status(path)

    def pause(self, failures: int) -> None:
        self.pauses.append(failures)


class _BreakingBody(Body):
    def __init__(self, body: Body, left: int) -> None:
        self._body, self._left = body, left

    def read(self, size: int) -> bytes:
        if not self._left:
            raise BrokenBodyError("cut")
        data = self._body.read(min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._body.close()


steps = st.lists(
    st.tuples(
        st.sampled_from(["set", "current", "end", "stay"]),
        st.integers(0, 3_100_000) | st.integers(0, 300),
        st.sampled_from([0, 1, 8, 4096, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 700_000, -1]),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("breaks", [False, True], ids=["whole", "breaking"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.sampled_from(SIZES), steps=steps, seed=st.integers(0, 99))
def test_reads_are_those_of_the_bytes(
    files: WebHdfsFileIO,
    stored: dict[int, bytes],
    breaks: bool,
    size: int,
    steps: list[tuple[str, int, int, bool]],
    seed: int,
) -> None:
    TAILS.forget()
    model = io.BytesIO(stored[size])
    client = files.client("hdfs://lake/")
    chance = random.Random(seed)
    if breaks:
        client = Breaking(client, iter(lambda: chance.randint(1, 300_000), 0))
    with RangeReader(client, f"/data/sizes/{size}", size, modified_at_ms=0) as reader:
        for whence, offset, length, into in steps:
            if whence == "set":
                assert reader.seek(offset) == model.seek(offset)
            elif whence == "end" and offset <= size:
                assert reader.seek(-offset, io.SEEK_END) == model.seek(-offset, io.SEEK_END)
            elif whence == "current":
                assert reader.seek(offset // 9, io.SEEK_CUR) == model.seek(offset // 9, io.SEEK_CUR)
            if into and length >= 0:
                ours, theirs = bytearray(length), bytearray(length)
                assert reader.readinto(ours) == model.readinto(theirs)
                assert ours == theirs
            else:
                assert reader.read(length) == model.read(length)
            assert reader.tell() == model.tell()


def test_a_small_file_is_fetched_by_one_request(
    files: WebHdfsFileIO, stored: dict[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[int, int | None]] = []
    open_ = WebHdfs.open

    def counting(self: WebHdfs, path: str, *, offset: int = 0, length: int | None = None) -> Body:
        opened.append((offset, length))
        return open_(self, path, offset=offset, length=length)

    monkeypatch.setattr(WebHdfs, "open", counting)
    TAILS.forget()
    for _ in range(3):
        with files.new_input(f"hdfs://lake/data/sizes/{TAIL_BYTES}").open() as stream:
            stream.seek(-8, io.SEEK_END)
            stream.read(8)
            stream.seek(0)
            assert stream.read(-1) == stored[TAIL_BYTES]
    assert opened == [(0, TAIL_BYTES)]
    opened.clear()
    with files.new_input("hdfs://lake/data/sizes/3000000").open() as stream:
        while stream.read(50_000):
            pass
    assert opened == [(0, 256 << 10), (256 << 10, 3_000_000 - (256 << 10))]


def test_a_body_that_only_breaks_is_given_up(files: WebHdfsFileIO, stored: dict[int, bytes]) -> None:
    client = Breaking(files.client("hdfs://lake/"), iter(lambda: 0, 1))
    with pytest.raises(ServiceError, match=r"/data/sizes/3000000 from HDFS stopped at byte 0 7 times.* cut"):
        RangeReader(client, "/data/sizes/3000000", 3_000_000, modified_at_ms=0).read(500_000)
    assert client.pauses == [1, 2, 3, 4, 5]


def test_a_file_that_became_shorter_is_damage(files: WebHdfsFileIO, stored: dict[int, bytes]) -> None:
    reader = RangeReader(files.client("hdfs://lake/"), "/data/sizes/3000000", 3_000_010, modified_at_ms=0)
    reader.seek(2_000_000)
    with pytest.raises(DataError, match="/data/sizes/3000000 has become shorter since it was opened"):
        reader.read(1_000_010)


def test_threads_share_a_file(files: WebHdfsFileIO, stored: dict[int, bytes]) -> None:
    data = stored[3_000_000]

    def parts(seed: int) -> None:
        chance = random.Random(seed)
        with files.new_input("hdfs://lake/data/sizes/3000000").open() as stream:
            for _ in range(15):
                start, length = chance.randrange(len(data)), chance.randrange(1, 400_000)
                stream.seek(start)
                assert stream.read(length) == data[start : start + length]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(parts, range(8)))


def test_a_child_process_reads_with_what_it_inherited(files: WebHdfsFileIO, stored: dict[int, bytes]) -> None:
    file = files.new_input("hdfs://lake/data/sizes/3000000")
    with file.open() as stream:
        stream.read(10)
        child = os.fork()
        if child == 0:  # pragma: no cover
            with file.open() as own:
                os._exit(0 if own.read(-1) == stored[3_000_000] else 1)
        rest = stream.read(-1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert rest == stored[3_000_000][10:]


_MEMORY = """
import sys
from autostream.hadoop.fileio import WebHdfsFileIO
from autostream.resources import peak_memory_bytes
io = WebHdfsFileIO({"webhdfs.urls": sys.argv[1], "webhdfs.user": "svc"})
piece = bytes(1 << 20)
def through(count):
    with io.new_output("hdfs://lake/data/memory").create(overwrite=True) as sink:
        for _ in range(count):
            sink.write(piece)
    with io.new_input("hdfs://lake/data/memory").open() as source:
        while source.read(1 << 20):
            pass
through(16)
before = peak_memory_bytes()
through(256)
print(peak_memory_bytes() - before)
io.delete("hdfs://lake/data/memory")
"""


def test_a_large_file_takes_no_more_memory_than_a_small_one(hdfs: Hdfs) -> None:
    done = subprocess.run([sys.executable, "-c", _MEMORY, hdfs.webhdfs_url], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 24 << 20


_KILLED = """
import os, sys
from autostream.hadoop.fileio import WebHdfsFileIO
io = WebHdfsFileIO({"webhdfs.urls": sys.argv[1], "webhdfs.user": "svc", "autostream.proxy-user": "alice"})
stream = io.new_output(sys.argv[2]).create()
stream.write(bytes(9_000_000))
os._exit(9)
"""


def test_a_killed_writer_leaves_what_a_sweep_finds(hdfs: Hdfs, files: WebHdfsFileIO, directory: str) -> None:
    command = [sys.executable, "-c", _KILLED, hdfs.webhdfs_url, f"{directory}/x.parquet"]
    assert subprocess.run(command).returncode == 9
    left = names(files, directory)
    assert [re.fullmatch(r"x\.parquet\.autostream-[0-9a-f]{32}\.part", name) is not None for name in left] == [True]
    write(files, f"{directory}/x.parquet", b"1")
    files.delete(f"{directory}/{left[0]}")
    assert names(files, directory) == ["x.parquet"]


# ------------------------------------------------------------------------------------------ names and directories
def test_names_of_all_kinds(files: WebHdfsFileIO, directory: str) -> None:
    odd = ["a b", "d=%2F", "p+q", "x?y", "x#y", "é€", "a&b=c", "semi;colon", "quote'\"", "per%cent", "a" * 255]
    odd += ["caf\u00e9", "cafe\u0301", "か\u3099"]  # an accent of its own is another name than one that is composed
    for name in odd:
        write(files, f"{directory}/k={name[:40]}/{name}", name.encode())
    assert names(files, directory) == sorted(f"k={name[:40]}/{name}" for name in odd)
    for name in odd:
        location = f"{directory}/k={name[:40]}/{name}"
        assert read(files, location) == name.encode()
        files.delete(location)
        assert not files.new_input(location).exists()


def test_listing_renaming_deleting(files: WebHdfsFileIO, directory: str) -> None:
    client, path = files.client(directory), directory.removeprefix("hdfs://lake")
    for name in ("b", "a", "sub/c"):
        write(files, f"{directory}/{name}", b"123")
    listed = {entry.path.removeprefix(path): entry for entry in client.list_directory(path)}
    assert list(listed) == ["/a", "/b", "/sub"]
    assert (listed["/a"].size_bytes, listed["/a"].is_directory, listed["/sub"].is_directory) == (3, False, True)
    assert [entry.path for entry in client.list_directory(f"{path}/a")] == [f"{path}/a"]
    files.rename(f"{directory}/a", f"{directory}/sub/d")
    with pytest.raises(FileExistsError, match="already exists"):
        files.rename(f"{directory}/b", f"{directory}/sub/d")
    files.rename(f"{directory}/b", f"{directory}/sub/d", overwrite=True)
    with pytest.raises(FileNotFoundError, match="rename source"):
        files.rename(f"{directory}/b", f"{directory}/e")
    with pytest.raises(ConfigurationError, match="is not in HDFS"):
        files.rename(f"{directory}/b", "file:/tmp/e")
    assert names(files, directory) == ["sub/c", "sub/d"]
    client.set_permission(f"{path}/sub/d", "640")
    assert client.status(f"{path}/sub/d").permission == "640"
    with pytest.raises(RefusedError, match="non-super user cannot change owner"):
        client.set_owner(f"{path}/sub/d", owner="bob")
    client.make_directory(f"{path}/made", permission="700")
    assert client.status(f"{path}/made").permission == "700"
    with pytest.raises(ServiceError, match="is non empty"):
        client.delete(f"{path}/sub")
    assert client.delete(f"{path}/sub", recursive=True)
    assert client.delete(f"{path}/sub", recursive=True) is False
    with pytest.raises(FileNotFoundError, match="Cannot delete"):
        files.delete(f"{directory}/sub/c")
    with pytest.raises(FileNotFoundError):
        names(files, f"{directory}/sub")


def test_a_long_listing_comes_in_parts(hdfs: Hdfs, directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = file_io(hdfs)
    client, path = files.client(directory), directory.removeprefix("hdfs://lake")
    made = [f"{number:04}" for number in range(1005)]  # the NameNode lists 1000 at a time
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: client.make_directory(f"{path}/{name}"), made))
    assert [entry.path.rsplit("/", 1)[1] for entry in client.list_directory(path)] == made


def test_other_file_systems_are_served_as_before(files: WebHdfsFileIO, tmp_path: Path) -> None:
    location = f"file://{tmp_path}/x"
    with files.new_output(location).create() as stream:
        stream.write(b"local")
    assert (tmp_path / "x").read_bytes() == b"local"
    assert read(files, location) == b"local"
    files.delete(location)
    assert not files.new_input(location).exists()


def test_plain_paths_and_pickles(files: WebHdfsFileIO, directory: str) -> None:
    other = pickle.loads(pickle.dumps(files))
    path = directory.removeprefix("hdfs://lake")
    write(other, f"{path}/x", b"1")
    assert names(files, directory) == ["x"]
    assert [location for location, _ in files.walk(path)] == [f"{path}/x"]
    files.delete(files.new_input(f"{path}/x"))
    assert names(files, directory) == []


# ------------------------------------------------------------------------------------------ accounts
def test_files_belong_to_the_account_that_acts(hdfs: Hdfs, files: WebHdfsFileIO, directory: str) -> None:
    for size in (10, BUFFER_BYTES + 1):
        write(files, f"{directory}/{size}", b"1" * size)
    assert {status.owner for _, status in files.walk(directory)} == {"alice"}
    bob = file_io(hdfs, user="bob", proxy="")
    assert len(read(bob, f"{directory}/10")) == 10
    with pytest.raises(
        PermissionError, match=r"HDFS denied access to bob .*Permission denied: user=bob, access=WRITE"
    ) as no:
        write(bob, f"{directory}/y", b"1")
    assert isinstance(no.value, RefusedError)
    with pytest.raises(PermissionError, match="Permission denied"):
        write(bob, f"{directory}/y", b"1" * (2 * BUFFER_BYTES))
    with pytest.raises(PermissionError, match="Permission denied"):
        bob.delete(f"{directory}/10")


@pytest.mark.parametrize(("service", "proxy"), [("mallory", "alice"), ("svcg", "bob")])
def test_a_refused_impersonation_names_both_and_the_setting(hdfs: Hdfs, service: str, proxy: str) -> None:
    refused = file_io(hdfs, user=service, proxy=proxy)
    for action in (
        lambda: refused.new_input("hdfs://lake/data/x").exists(),
        lambda: write(refused, "hdfs://lake/data/x", b"1", overwrite=True),
        lambda: refused.delete("hdfs://lake/data/x"),
    ):
        with pytest.raises(PermissionError) as caught:
            action()
        assert f"does not allow {service} to act as {proxy}" in str(caught.value)
        assert f"hadoop.proxyuser.{service}.groups a group of {proxy}" in str(caught.value)
    assert not file_io(hdfs, user="svcg", proxy="alice").new_input("hdfs://lake/data/x").exists()


def test_acting_as_oneself_needs_no_permission(hdfs: Hdfs) -> None:
    own = file_io(hdfs, user="bob", proxy="bob")
    write(own, "hdfs://lake/data/own", b"1", overwrite=True)
    assert own.client("hdfs://lake/").status("/data/own").owner == "bob"
    own.delete("hdfs://lake/data/own")


# ------------------------------------------------------------------------------------------ space
def set_quota(hdfs: Hdfs, path: str, *, files: int = -1, size_bytes: int = -1) -> None:
    query = f"op=SETQUOTA&user.name=hdfs&namespacequota={files}&storagespacequota={size_bytes}"
    requests.put(f"{hdfs.webhdfs_url}/webhdfs/v1{path}?{query}", timeout=120).raise_for_status()


@pytest.mark.parametrize("size", [1000, 3 * BUFFER_BYTES])
def test_a_quota_of_bytes(hdfs: Hdfs, files: WebHdfsFileIO, directory: str, size: int) -> None:
    set_quota(hdfs, directory.removeprefix("hdfs://lake"), size_bytes=1 << 20)
    with pytest.raises(NoSpaceError, match=r"quota is used up .*DiskSpace quota|quota is used up .*quota of"):
        write(files, f"{directory}/x", b"1" * size)
    assert names(files, directory) == []


def test_a_quota_of_names(hdfs: Hdfs, files: WebHdfsFileIO, directory: str) -> None:
    set_quota(hdfs, directory.removeprefix("hdfs://lake"), files=1)
    with pytest.raises(NoSpaceError, match="quota is used up"):
        write(files, f"{directory}/x", b"1")
    assert names(files, directory) == []


# ------------------------------------------------------------------------------------------ HttpFS
@pytest.mark.parametrize("size", [10, TAIL_BYTES + BUFFER_BYTES])
@pytest.mark.parametrize("relative", [False, True])
def test_one_address_that_redirects_to_itself(hdfs: Hdfs, directory: str, size: int, *, relative: bool) -> None:
    with httpfs(hdfs.webhdfs_url, relative=relative) as url:
        files = file_io(hdfs, **{"webhdfs.urls": url})
        location = f"{directory}/x"
        write(files, location, b"a" * size)
        assert read(files, location) == b"a" * size
        assert {status.owner for _, status in files.walk(directory)} == {"alice"}
        with pytest.raises(FileExistsError):
            files.new_output(location).create()
        write(files, location, b"b" * size, overwrite=True)
        assert read(files, location) == b"b" * size
        with files.new_input(location).open() as stream:
            stream.seek(3)
            assert stream.read(4) == b"bbbb"
        first, second = files.new_output(f"{directory}/y").create(), files.new_output(f"{directory}/y").create()
        first.close()
        with pytest.raises(FileExistsError, match="was not renamed to it"):
            second.close()
        with pytest.raises(FileNotFoundError):
            files.rename(f"{directory}/none", f"{directory}/z")
        files.delete(location)
        write(files, f"{directory}/d/inside", b"1")
        with pytest.raises(FileExistsError, match="/d is a directory in HDFS"):
            write(files, f"{directory}/d", b"2" * size, overwrite=True)
        assert names(files, directory) == ["d/inside", "y"]
