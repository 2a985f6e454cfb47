"""Local files read without PyArrow: the same files, the same errors, and all else as PyIceberg has it."""

from pathlib import Path

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO

from autostream.catalogs.local_files import LocalFileIO, local_path


def test_what_pyarrow_writes_is_read(tmp_path: Path) -> None:
    files, location = LocalFileIO(), f"file://{tmp_path}/new/dir/a%20b.txt"
    with files.new_output(location).create() as stream:
        stream.write(b"hello")
    for other in (files, PyArrowFileIO()):
        read = other.new_input(location)
        with read.open() as stream:
            assert (len(read), read.exists(), stream.read(), stream.seek(1), stream.read(2)) == (
                5,
                True,
                b"hello",
                1,
                b"el",
            )
    with pytest.raises(FileExistsError):
        files.new_output(location).create()
    files.delete(files.new_input(location))
    assert not files.new_input(location).exists()


def test_errors_are_those_of_pyarrow(tmp_path: Path) -> None:
    missing = f"{tmp_path}/missing"
    for files in (LocalFileIO(), PyArrowFileIO()):
        assert not files.new_input(missing).exists()
        for use in (len, lambda file: file.open()):
            with pytest.raises(FileNotFoundError, match="missing"):
                use(files.new_input(missing))
        with pytest.raises(FileNotFoundError, match="missing"):
            files.delete(missing)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("file:///a/b c", "/a/b c"),
        ("/a/b", "/a/b"),
        ("file:/a/b", "/a/b"),
        ("file://host/a", None),
        ("file:////a", None),
        ("//host/a", None),
        ("/a?b", None),
        ("/a#b", None),
        ("relative/a", None),
        ("s3://bucket/a", None),
        (None, None),
    ],
)
def test_what_is_local(location: str | None, path: str | None) -> None:
    assert local_path(location) == path
