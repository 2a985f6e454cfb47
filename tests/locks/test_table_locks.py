"""Locks of tables where the packages that ZooKeeper needs are not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
import sys

sys.modules["kazoo"] = None  # as where it is not installed
from autostream.errors import ConfigurationError
from autostream.locks.table_locks import list_locks, locks_of_table
from autostream.names import TableName

for ask in (lambda: locks_of_table(TableName.parse("lake.db.t")), list_locks):
    try:
        print(ask().to_dict().get("errors"))
    except ConfigurationError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("hosts", "told"),
    [
        ("", ["NoLocksError Neither ZooKeeper nor a Hive catalog is configured"] * 2),
        ("localhost:1", ["ConfigurationError ZooKeeper needs Python packages", "pip install 'autostream[hadoop]'."]),
    ],
)
def test_what_is_missing_is_told_only_where_it_is_needed(
    lake: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hosts: str, told: list[str]
) -> None:
    monkeypatch.setenv("AUTOSTREAM_ZOOKEEPER__HOSTS", hosts)

    done = subprocess.run([sys.executable, "-c", ASK], cwd=tmp_path, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [text in line for text, line in zip(told, lines, strict=True)] == [True, True], lines
