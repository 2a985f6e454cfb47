from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from autostream.store.database import Database


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """A connection to a new database, in a transaction that may write."""
    database = Database(f"sqlite:///{tmp_path}/control.db")
    with database.write() as connection:
        yield connection
    database.close()
